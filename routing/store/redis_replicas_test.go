package store_test

import (
	"slices"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestReplicasMeet(t *testing.T) {
	server := storetest.Start(t)
	meet := func(address string) []string {
		t.Helper()
		r, err := store.NewRedis(store.RedisOptions{Server: store.Server{URL: "redis://" + server.Addr}, Replica: address, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Close() })
		all, err := r.RegisterReplica(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return all
	}
	if got := meet("10.0.0.1:9100"); !slices.Equal(got, []string{"10.0.0.1:9100"}) {
		t.Errorf("the first finds %v", got)
	}
	if got := meet("10.0.0.2:9100"); !slices.Equal(got, []string{"10.0.0.1:9100", "10.0.0.2:9100"}) {
		t.Errorf("the second finds %v", got)
	}
}
