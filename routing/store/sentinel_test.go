package store_test

import (
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// When sentinels make a replica the new master, the limits go on with it.
func TestTheLimitsFollowTheMasterThatSentinelsChoose(t *testing.T) {
	t.Parallel()
	master, replica := storetest.Start(t), storetest.Start(t)
	sentinel := storetest.StartSentinel(t, master)
	followMaster(t, nil, master, replica, sentinel)
}

func TestTheLimitsFollowTheMasterOverTLS(t *testing.T) {
	t.Parallel()
	ca := storetest.NewAuthority(t)
	master, replica := storetest.StartTLS(t, ca, false), storetest.StartTLS(t, ca, false)
	sentinel := storetest.StartSentinelTLS(t, ca, master)
	followMaster(t, ca, master, replica, sentinel)
}

// followMaster has a sentinel replace its master. ca is whom all are spoken to with;
// nil: in the clear.
func followMaster(t *testing.T, ca *storetest.Authority, master, replica, sentinel *storetest.Server) {
	t.Helper()
	at := store.Server{SentinelNodes: []string{sentinel.Addr}}
	if ca != nil {
		at.TLS, at.CAFile = true, ca.CAFile
	}
	follower := redis.NewClient(&redis.Options{Addr: replica.Addr, TLSConfig: ca.Config(), DisableIdentity: true})
	defer follower.Close()
	host, port, _ := net.SplitHostPort(master.Addr)
	if err := follower.ReplicaOf(t.Context(), host, port).Err(); err != nil {
		t.Fatal(err)
	}
	watcher := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr, TLSConfig: ca.Config(), DisableIdentity: true})
	defer watcher.Close()
	set := func(option, value string) {
		if err := watcher.Set(t.Context(), "mymaster", option, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("down-after-milliseconds", "600000") // they choose when the test says so, not before the gateway has noticed
	set("failover-timeout", "2000")
	asynctest.Await(t, "the sentinel knows the replica", func() bool {
		all, err := watcher.Replicas(t.Context(), "mymaster").Result()
		return err == nil && len(all) == 1 && all[0]["master-link-status"] == "ok"
	})
	log := &asynctest.Text{}
	s := store.NewShared(store.SharedOptions{
		Redis: newRedis(t, at), Silence: longSilence, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	defer s.Close()
	for i := range 7 {
		if reply, err := s.Acquire(t.Context(), request(fmt.Sprint(i))); err != nil || reply.Chosen != 0 {
			t.Fatal(reply, err)
		}
	}
	master.Kill()
	ids := 7
	asynctest.Await(t, "the master counts as away", func() bool {
		if !s.Away() {
			_, _ = s.Beat(t.Context(), store.Beat{})
		}
		return s.Away()
	})
	if reply, err := s.Acquire(t.Context(), request(fmt.Sprint(ids))); err != nil || reply.Chosen != 0 {
		t.Errorf("while the sentinels choose: %+v, %v", reply, err)
	}
	set("down-after-milliseconds", "300")
	asynctest.AwaitWithin(t, 40*time.Second, "the new master is used", func() bool { return !s.Away() })
	at.SentinelNodes = nil
	at.URL = map[bool]string{true: "rediss://", false: "redis://"}[at.TLS] + replica.Addr
	other := newRedis(t, at)
	asynctest.Await(t, "the new master counts all eight", func() bool { return used(t, other) == 8 })
	asynctest.Await(t, "the log says once that the master went, and that there is one again",
		func() bool { return log.Reads("redis does not answer", "redis answers again") })
}
