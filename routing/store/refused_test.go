package store_test

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// refusal is a reason for which a Redis refuses to write: how it comes and goes, and
// how the reply begins.
type refusal struct {
	begin, end func(t *testing.T, c *redis.Client)
	reply      string
}

// command runs one command.
func command(t *testing.T, c *redis.Client, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

// does is command as a part of a refusal.
func does(args ...any) func(t *testing.T, c *redis.Client) {
	return func(t *testing.T, c *redis.Client) { t.Helper(); command(t, c, args...) }
}

func refusals() map[string]refusal {
	return map[string]refusal{
		"it is full": {does("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1"),
			does("CONFIG", "SET", "maxmemory", "0"), "OOM"},
		"it is a replica": {does("REPLICAOF", "127.0.0.1", "1"), does("REPLICAOF", "NO", "ONE"), "READONLY"},
		"it has no replicas": {does("CONFIG", "SET", "min-replicas-to-write", "1"),
			does("CONFIG", "SET", "min-replicas-to-write", "0"), "NOREPLICAS"},
		"it could not save": {failSave, does("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"), "MISCONF"},
		"its master is away": {
			func(t *testing.T, c *redis.Client) {
				command(t, c, "CONFIG", "SET", "replica-serve-stale-data", "no")
				command(t, c, "REPLICAOF", "127.0.0.1", "1")
			}, does("REPLICAOF", "NO", "ONE"), "MASTERDOWN"},
	}
}

// failSave has a server fail to save its data, after which it refuses writes.
func failSave(t *testing.T, c *redis.Client) {
	dir, err := c.ConfigGet(t.Context(), "dir").Result()
	if err != nil || os.RemoveAll(dir["dir"]) != nil {
		t.Fatal("the server's directory is still there", err)
	}
	command(t, c, "CONFIG", "SET", "save", "3600 1")
	command(t, c, "BGSAVE")
	asynctest.Await(t, "the server has failed to save", func() bool {
		return strings.Contains(c.Info(t.Context(), "persistence").Val(), "rdb_last_bgsave_status:err")
	})
}

func newClient(t *testing.T, server *storetest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// failedScripts is how many calls of scripts the server has answered with an error.
func failedScripts(t *testing.T, c *redis.Client) (n int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`cmdstat_eval(?:sha)?:.*rejected_calls=(\d+),failed_calls=(\d+)`).
		FindAllStringSubmatch(c.Info(t.Context(), "commandstats").Val(), -1) {
		for _, text := range m[1:] {
			i, _ := strconv.Atoi(text)
			n += i
		}
	}
	return n
}

// state is what the server counts of the test's window, and how many of its slots are held.
func state(t *testing.T, c *redis.Client) (used, held int64) {
	t.Helper()
	used, err := c.HGet(t.Context(), ownKeys+"d/a/rpm", "sum").Int64()
	if err != nil {
		t.Fatal(err)
	}
	return used, c.ZCard(t.Context(), ownKeys+"d/a/slots").Val()
}

// shared makes a Shared over a server to which all scripts are known.
func shared(t *testing.T, server *storetest.Server) *store.Shared {
	t.Helper()
	r := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	acquire(t, r, "before")
	err := r.Settle(t.Context(), []store.Settlement{{ID: "before", Slots: []string{"d/a/slots"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newShared(t, store.Server{URL: "redis://" + server.Addr}, longSilence)
	return s
}

func mustAcquire(t *testing.T, s *store.Shared, q *store.Request) store.Reply {
	t.Helper()
	reply, err := s.Acquire(t.Context(), q)
	if err != nil || reply.Chosen != 0 {
		t.Fatal(reply, err)
	}
	return reply
}

func TestWhatARedisRefusesIsToldItAgain(t *testing.T) {
	for name, tc := range refusals() {
		t.Run(name, func(t *testing.T) {
			server := storetest.Start(t)
			s, c := shared(t, server), newClient(t, server)
			second := mustAcquire(t, s, request("one")).Second
			tc.begin(t, c)
			failed := failedScripts(t, c)
			// No slot with it: a server that is full takes what comes with one.
			s.Settle(store.Settlement{ID: "one", Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}})
			asynctest.Await(t, "the settlement is refused", func() bool { return failedScripts(t, c) > failed })
			asynctest.Await(t, "a Redis that refuses counts as away", s.Away)
			mustAcquire(t, s, request("two"))
			s.Settle(store.Settlement{ID: "one", Slots: []string{"d/a/slots"}})
			tc.end(t, c)
			asynctest.Await(t, "Redis is not away any more", func() bool { return !s.Away() })
			if used, held := state(t, c); used != 1+1+4+1 || held != 1 {
				t.Errorf("Redis counts %d, and %d slots held; want 7 and that of the second request", used, held)
			}
		})
	}
}

func TestARequestThatARedisRefusesIsDecidedHereAndTakesNothingThere(t *testing.T) {
	for name, tc := range refusals() {
		for what, change := range map[string]func(*store.Request){
			"a window and a slot": func(*store.Request) {},
			"a slot alone":        func(q *store.Request) { q.Candidates[0].Windows = nil },
			"a window alone":      func(q *store.Request) { q.Candidates[0].Slots = nil },
			"a new window": func(q *store.Request) {
				q.Candidates[0] = store.Demand{Windows: []store.Window{{Key: "d/b/rpm", Limit: 1, Cost: 1}}}
			},
			"a slot that is given back for it": func(q *store.Request) {
				q.Return = store.Settlement{ID: q.ID, Slots: []string{"d/c/slots"}}
			},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				server := storetest.Start(t)
				s, c := shared(t, server), newClient(t, server)
				tc.begin(t, c)
				q := request("one")
				change(q)
				_, err := newRedis(t, store.Server{URL: "redis://" + server.Addr}).Acquire(t.Context(), q)
				if err == nil || !strings.Contains(err.Error(), " "+tc.reply+" ") {
					t.Fatalf("%v, want an error %s", err, tc.reply)
				}
				mustAcquire(t, s, q)
				if !s.Away() {
					t.Error("it does not count as away")
				}
				tc.end(t, c)
				asynctest.Await(t, "Redis is not away any more", func() bool { return !s.Away() })
				used, held := state(t, c)
				other, _ := c.HGet(t.Context(), ownKeys+"d/b/rpm", "sum").Int64()
				if d := &q.Candidates[0]; used+other != int64(1+len(d.Windows)) || held != int64(len(d.Slots)) {
					t.Errorf("Redis was told later that %d are used, and %d slots held", used+other, held)
				}
			})
		}
	}
}

// What a request gave back with the call that was refused is not lost.
func TestWhatARefusedRequestGaveBackIsToldLater(t *testing.T) {
	for name, tc := range refusals() {
		t.Run(name, func(t *testing.T) {
			server := storetest.Start(t)
			s, c := shared(t, server), newClient(t, server)
			q := request("one")
			second := mustAcquire(t, s, q).Second
			tc.begin(t, c)
			q.Return = store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
				Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}}
			q.Candidates[0] = store.Demand{Slots: []store.Slot{{Key: "d/b/slots", Limit: 1}}}
			mustAcquire(t, s, q)
			tc.end(t, c)
			asynctest.Await(t, "Redis is not away any more", func() bool { return !s.Away() })
			if used, held := state(t, c); used != 1+1+4 || held != 0 {
				t.Errorf("Redis counts %d, and %d slots held; want 6 and none", used, held)
			}
		})
	}
}

func TestAFullRedisTakesSlotsBack(t *testing.T) {
	server := storetest.Start(t)
	r, c := newRedis(t, store.Server{URL: "redis://" + server.Addr}), newClient(t, server)
	second := acquire(t, r, "one").Second
	acquire(t, r, "two")
	command(t, c, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	err := r.Settle(t.Context(), []store.Settlement{
		{ID: "one", Slots: []string{"d/a/slots"}, Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}},
		{ID: "two", Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 5}}},
	})
	if used, held := state(t, c); err != nil || used != 2+4+5 || held != 1 {
		t.Errorf("%v; Redis counts %d, and %d slots held; want 11, and that of the second", err, used, held)
	}
}

// A call without an answer may have been carried out: it is not made again.
func TestWhatAFrozenRedisWasToldIsNotToldAgain(t *testing.T) {
	server := storetest.Start(t)
	s, c := shared(t, server), newClient(t, server)
	second := mustAcquire(t, s, request("one")).Second
	server.Freeze(t)
	s.Settle(store.Settlement{ID: "one", Slots: []string{"d/a/slots"},
		Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}})
	asynctest.Await(t, "Redis counts as away", func() bool {
		_, _ = s.Beat(context.Background(), store.Beat{})
		return s.Away()
	})
	server.Thaw(t)
	asynctest.Await(t, "Redis is not away any more", func() bool { return !s.Away() })
	if used, _ := state(t, c); used > 1+1+4 {
		t.Errorf("Redis counts %d, more than 6", used)
	}
}

// A correction of a slice that holds nothing changes nothing. Before, it removed the
// slices that had left the window without taking them out of the sum.
func TestACorrectionOfNothingLeavesTheSumRight(t *testing.T) {
	server := storetest.Start(t)
	r, c := newRedis(t, store.Server{URL: "redis://" + server.Addr}), newClient(t, server)
	now := c.Time(t.Context()).Val().Unix()
	at := now - 30
	err := c.HSet(t.Context(), ownKeys+"d/a/rpm", "at", at, "last", at, "sum", 7+2,
		strconv.FormatInt((at-60)%64, 10), 7, strconv.FormatInt(at%64, 10), 2).Err()
	if err != nil {
		t.Fatal(err)
	}
	err = r.Settle(t.Context(), []store.Settlement{{Corrections: []store.Correction{{Key: "d/a/rpm", Second: now - 1, Delta: -3}}}})
	if n := used(t, r); err != nil || n != 2 {
		t.Errorf("%v; %d are used, want the 2 within the last minute", err, n)
	}
}
