package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
	"github.com/isthmus-proxy/isthmus/translate/observetest"
)

func newShared(t *testing.T, server store.Server) (*store.Shared, *observetest.Text) {
	t.Helper()
	log := &observetest.Text{}
	s := store.NewShared(store.SharedOptions{Redis: newRedis(t, server), Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() { _ = s.Close() })
	return s, log
}

func TestTheCacheIsQuickAboutAFrozenRedis(t *testing.T) {
	server := storetest.Start(t)
	s, log := newShared(t, store.Server{URL: "redis://" + server.Addr})
	if err := s.Set(t.Context(), "ns:x", []byte("value"), time.Minute); err != nil {
		t.Fatal(err)
	}
	get := func() error { _, err := s.Get(t.Context(), "ns:x"); return err }
	server.Freeze(t)
	var longest time.Duration
	for range 50 {
		began := time.Now()
		if get() == nil {
			t.Fatal("a frozen server answers")
		}
		longest = max(longest, time.Since(began))
	}
	if longest > 200*time.Millisecond {
		t.Errorf("a look-up took %v", longest)
	}
	observetest.Await(t, "Redis counts as away", s.Away) // although nobody asks for limits
	server.Thaw(t)
	observetest.Await(t, "the stored value is there again", func() bool { return get() == nil })
	if !log.Reads("redis does not answer", "redis answers again") {
		t.Errorf("log: %s", log)
	}
}

// A Redis in another zone is late at times. Who says that it may be is told by it,
// not by what this replica makes of it alone.
func TestHowLongRedisMayBeSilentCanBeSaid(t *testing.T) {
	server := storetest.Start(t)
	log := &observetest.Text{}
	s := store.NewShared(store.SharedOptions{
		Redis: newRedis(t, store.Server{URL: "redis://" + server.Addr}), Silence: 4 * time.Second, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	defer s.Close()
	other := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	if err := s.Set(t.Context(), "ns:x", []byte("value"), time.Minute); err != nil {
		t.Fatal(err)
	}
	server.Freeze(t)
	const silence = 700 * time.Millisecond
	time.AfterFunc(silence, func() { server.Thaw(t) })
	began := time.Now()
	var all sync.WaitGroup
	all.Go(func() {
		if value, err := s.Get(t.Context(), "ns:x"); string(value) != "value" {
			t.Errorf("the cache does not wait: %q, %v", value, err)
		}
	})
	for i := range 3 {
		all.Go(func() {
			if reply, err := s.Acquire(t.Context(), request(fmt.Sprint(i))); err != nil || reply.Chosen != 0 {
				t.Error(reply, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took < silence-50*time.Millisecond {
		t.Fatalf("all were answered after %v, while the server was frozen", took)
	}
	if n := used(t, other); n != 3 || s.Away() {
		t.Errorf("Redis counts %d of 3 requests; away: %v", n, s.Away())
	}
	if !log.Reads() {
		t.Errorf("log: %s", log)
	}
}

func TestARedisThatStartsAgainIsToldWhatItHasForgotten(t *testing.T) {
	server := storetest.Start(t)
	s, _ := newShared(t, store.Server{URL: "redis://" + server.Addr})
	for i := range 3 {
		if reply, err := s.Acquire(t.Context(), request(fmt.Sprint(i))); err != nil || reply.Chosen != 0 {
			t.Fatal(reply, err)
		}
	}
	server.Kill()
	server.Restart(t)
	other := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	observetest.Await(t, "the new Redis has the three requests", func() bool {
		_, _ = s.Beat(t.Context(), store.Beat{})
		return used(t, other) == 3
	})
	q := request("x")
	q.Candidates[0].Slots[0].Limit = 3
	if reply, err := other.Acquire(t.Context(), q); err != nil || reply.Chosen != -1 || !reply.NeedsSlot {
		t.Errorf("the held slots are forgotten: %+v, %v", reply, err)
	}
}

func TestANodeThatIsAwayDoesNotTakeTheLimitsWithIt(t *testing.T) {
	servers := storetest.StartCluster(t)
	s, log := newShared(t, store.Server{ClusterNodes: storetest.Addrs(servers)})
	holder := -1 // the node that has the limits
	for i, server := range servers {
		one := newRedis(t, store.Server{URL: "redis://" + server.Addr})
		if _, err := one.Acquire(t.Context(), request("x")); err == nil {
			holder = i
		}
	}
	other := servers[(holder+1)%3]
	other.Freeze(t)
	observetest.Await(t, "the cache is not used any more", func() bool {
		for i := range 20 {
			_, err := s.Get(t.Context(), fmt.Sprint("ns:", i))
			if errors.Is(err, store.ErrAway) {
				return true
			}
		}
		return false
	})
	observetest.Await(t, "the log says that a part is away", func() bool { return log.Reads("a part of redis does not answer") })
	if s.Away() {
		t.Error("the limits' node counts as away")
	}
	other.Thaw(t)
	observetest.Await(t, "the cache is used again", func() bool { _, err := s.Get(t.Context(), "ns:1"); return errors.Is(err, store.ErrMiss) })
	observetest.Await(t, "the log says that all is back", func() bool { return log.Reads("a part of redis does not answer", "all of redis answers again") })
}
