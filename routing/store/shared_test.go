package store_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// longSilence is a silence for tests where Redis may be late, because the machine is,
// and is not gone for that.
const longSilence = time.Second

// newShared makes one that Redis may leave without an answer for so long; 0 is the
// default.
func newShared(t *testing.T, server store.Server, silence time.Duration) (*store.Shared, *asynctest.Text) {
	t.Helper()
	log := &asynctest.Text{}
	s := store.NewShared(store.SharedOptions{Redis: newRedis(t, server), Silence: silence, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() { _ = s.Close() })
	return s, log
}

func TestSoakTheCacheIsQuickAboutAFrozenRedis(t *testing.T) {
	testring.Soak(t, "judges how late look-ups are")
	server := storetest.Start(t)
	s, log := newShared(t, store.Server{URL: "redis://" + server.Addr}, 0)
	stalls := asynctest.WatchStalls(t)
	all := stalls.Clock()
	asynctest.Await(t, "the value is stored", func() bool { return s.Set(t.Context(), "ns:x", []byte("value"), time.Minute) == nil })
	get := func() error { _, err := s.Get(t.Context(), "ns:x"); return err }
	server.Freeze(t)
	var longest time.Duration
	for range 50 {
		clock := stalls.Clock()
		if get() == nil {
			t.Fatal("a frozen server answers")
		}
		took, late := clock()
		longest = max(longest, took-late)
	}
	if longest > 200*time.Millisecond {
		t.Errorf("a look-up took %v", longest)
	}
	asynctest.Await(t, "Redis counts as away", s.Away) // although nobody asks for limits
	server.Thaw(t)
	asynctest.Await(t, "the stored value is there again", func() bool { return get() == nil })
	asynctest.Await(t, "the log says that Redis went and returned", func() bool { return wentAndReturned(log) > 0 })
	if _, late := all(); wentAndReturned(log) > 1+int(late/(50*time.Millisecond)) {
		t.Errorf("the machine was late by %s; log: %s", late, log)
	}
}

// wentAndReturned counts how often the log says that Redis went, and then that it
// returned; 0 when it says anything else. One that gets no time to run counts as
// gone too.
func wentAndReturned(log *asynctest.Text) int {
	lines := log.Lines()
	for i, line := range lines {
		if !strings.Contains(line, []string{"redis does not answer", "redis answers again"}[i%2]) {
			return 0
		}
	}
	if len(lines)%2 != 0 {
		return 0
	}
	return len(lines) / 2
}

// A Redis in another zone is late at times. Who says that it may be is told by it,
// not by what this replica makes of it alone.
func TestHowLongRedisMayBeSilentCanBeSaid(t *testing.T) {
	server := storetest.Start(t)
	log := &asynctest.Text{}
	s := store.NewShared(store.SharedOptions{
		Redis: newRedis(t, store.Server{URL: "redis://" +
			server.Addr}), Silence: 4 * time.Second, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	defer s.Close()
	other := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	if err := s.Set(t.Context(), "ns:x", []byte("value"), time.Minute); err != nil {
		t.Fatal(err)
	}
	server.Freeze(t)
	const silence = 700 * time.Millisecond
	began := time.Now()
	time.AfterFunc(silence, func() { server.Thaw(t) })
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
	s, _ := newShared(t, store.Server{URL: "redis://" + server.Addr}, longSilence)
	for i := range 3 {
		if reply, err := s.Acquire(t.Context(), request(fmt.Sprint(i))); err != nil || reply.Chosen != 0 {
			t.Fatal(reply, err)
		}
	}
	server.Kill()
	server.Restart(t)
	other := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	asynctest.Await(t, "the new Redis has the three requests and their slots", func() bool {
		_, _ = s.Beat(t.Context(), store.Beat{})
		peers, err := other.Beat(t.Context(), store.Beat{Watch: []string{"d/a/rpm"}, Slots: []string{"d/a/slots"}})
		return err == nil && peers.Used[0] == 3 && peers.Held[0] == 3
	})
	q := request("x")
	q.Candidates[0].Slots[0].Limit = 3
	if reply, err := other.Acquire(t.Context(), q); err != nil || reply.Chosen != -1 || len(reply.Lacks) != 1 ||
		reply.Lacks[0] != "d/a/slots" {
		t.Errorf("the held slots are forgotten: %+v, %v", reply, err)
	}
}

func TestANodeThatIsAwayDoesNotTakeTheLimitsWithIt(t *testing.T) {
	servers := storetest.StartCluster(t)
	s, log := newShared(t, store.Server{ClusterNodes: storetest.Addrs(servers)}, longSilence)
	holder := -1 // the node that has the limits
	for i, server := range servers {
		one := newRedis(t, store.Server{URL: "redis://" + server.Addr})
		if _, err := one.Acquire(t.Context(), request("x")); err == nil {
			holder = i
		}
	}
	other := servers[(holder+1)%3]
	other.Freeze(t)
	asynctest.Await(t, "the cache is not used any more", func() bool {
		for i := range 20 {
			_, err := s.Get(t.Context(), fmt.Sprint("ns:", i))
			if errors.Is(err, store.ErrAway) {
				return true
			}
		}
		return false
	})
	asynctest.Await(t, "the log says that a part is away", func() bool { return log.Reads("a part of redis does not answer") })
	if s.Away() {
		t.Error("the limits' node counts as away")
	}
	other.Thaw(t)
	asynctest.Await(t, "the cache is used again", func() bool { _, err := s.Get(t.Context(), "ns:1"); return errors.Is(err, store.ErrMiss) })
	asynctest.Await(t, "the log says that all is back", func() bool {
		return log.Reads("a part of redis does not answer",
			"all of redis answers again")
	})
}
