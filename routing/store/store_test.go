package store_test

import (
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// A Server is a config.Redis under another name.
var _ = store.Server(config.Redis{})

func newRedis(tb testing.TB, server store.Server) *store.Redis {
	tb.Helper()
	r, err := store.NewRedis(store.RedisOptions{Server: server, Replica: tb.Name(), Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, store.NewMemory(time.Now))
}

func TestRedis(t *testing.T) {
	t.Parallel()
	storetest.RunRemote(t, newRedis(t, store.Server{URL: "redis://" + storetest.Start(t).Addr}))
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	storetest.RunRemote(t, newRedis(t, store.Server{ClusterNodes: storetest.Addrs(storetest.StartCluster(t))}))
}

func BenchmarkMemory(b *testing.B) { storetest.Bench(b, store.NewMemory(time.Now)) }

func BenchmarkRedis(b *testing.B) {
	storetest.Bench(b, newRedis(b, store.Server{URL: "redis://" + storetest.Start(b).Addr}))
}

func BenchmarkRedisCluster(b *testing.B) {
	storetest.Bench(b, newRedis(b, store.Server{ClusterNodes: storetest.Addrs(storetest.StartCluster(b))}))
}
