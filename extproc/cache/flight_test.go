package cache_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
)

// crowd lets n identical requests ask at once. ask answers for those who must
// go to a provider; the replies are the statuses in no order.
func crowd(c *cache.Cache, key cache.Key, n int, provider func(*cache.Ticket)) []cache.Status {
	statuses := make([]cache.Status, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := c.Ask(context.Background(), key, cache.Controls{})
			statuses[i] = r.Status
			if r.Ticket != nil {
				provider(r.Ticket)
			}
		})
	}
	all.Wait()
	return statuses
}

func number(statuses []cache.Status, want cache.Status) int {
	n := 0
	for _, s := range statuses {
		if s == want {
			n++
		}
	}
	return n
}

func TestAHundredIdenticalMissesAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{})
		var calls atomic.Int64
		statuses := crowd(c, plain(t), 100, func(ticket *cache.Ticket) {
			calls.Add(1)
			time.Sleep(5 * time.Second)
			ticket.Done(sample())
		})
		if calls.Load() != 1 || number(statuses, cache.Hit) != 99 || s.gets.Load() != 1 {
			t.Errorf("%d calls, %d hits, %d lookups", calls.Load(), number(statuses, cache.Hit), s.gets.Load())
		}
		if got := c.Stats(); got.Shared != 99 || got.Waiting != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestDifferentRequestsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := setup(t, cache.Config{})
		first := ask(c, plain(t), cache.Controls{})
		if second := ask(c, keyOf(t, `{"model":"n",`+hello+`}`), cache.Controls{}); second.Status != cache.Miss {
			t.Errorf("%+v", second)
		}
		first.Ticket.Leave()
	})
}

// Ten ask at once, and the answer that nine wait for does not come. Each call takes
// a second.
func TestThoseWhoWaitInVainGoOn(t *testing.T) {
	for name, tc := range map[string]struct {
		end         func(call int64, ticket *cache.Ticket)
		calls, hits int
		took        time.Duration
	}{
		"the answer is for one client only: all go at once": {
			func(_ int64, ticket *cache.Ticket) { ticket.Unstorable() }, 10, 0, 2 * time.Second,
		},
		"after two failures nobody waits any more": {
			func(_ int64, ticket *cache.Ticket) { ticket.Failed() }, 10, 0, 3 * time.Second,
		},
		"the leader leaves: the next takes over at once": {
			func(call int64, ticket *cache.Ticket) {
				if call <= 3 {
					ticket.Leave()
					return
				}
				ticket.Done(sample())
			}, 4, 6, 4 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := setup(t, cache.Config{})
				began := time.Now()
				var calls atomic.Int64
				statuses := crowd(c, plain(t), 10, func(ticket *cache.Ticket) {
					n := calls.Add(1)
					time.Sleep(time.Second)
					tc.end(n, ticket)
				})
				if took := time.Since(began); int(calls.Load()) != tc.calls || number(statuses, cache.Hit) != tc.hits || took != tc.took {
					t.Errorf("%d calls, %d hits in %v", calls.Load(), number(statuses, cache.Hit), took)
				}
			})
		})
	}
}

func TestAWaiterWhoseClientLeavesIsFreeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := setup(t, cache.Config{})
		key := plain(t)
		leader := ask(c, key, cache.Controls{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		r := c.Ask(ctx, key, cache.Controls{})
		if took := time.Since(began); r.Status != cache.Miss || took != time.Second || c.Stats().Waiting != 0 {
			t.Errorf("%+v after %v, %+v", r, took, c.Stats())
		}
		r.Ticket.Leave()
		leader.Ticket.Done(sample())
		if r := ask(c, key, cache.Controls{}); r.Status != cache.Hit {
			t.Errorf("%+v", r)
		}
	})
}

func TestPatienceEndsTheWaitNotTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := setup(t, cache.Config{MaxWait: 2 * time.Second})
		key := plain(t)
		leader := ask(c, key, cache.Controls{})
		began := time.Now()
		r := ask(c, key, cache.Controls{})
		if took := time.Since(began); r.Status != cache.Miss || r.Ticket.Recorder(asking(t, 1, ""), false) == nil || took != 2*time.Second {
			t.Errorf("%+v after %v", r, took)
		}
		r.Ticket.Done(sample())
		leader.Ticket.Leave()
	})
}

func TestRequestsWithALimitOfTheirOwnNeitherWaitNorAreWaitedFor(t *testing.T) {
	for name, controls := range map[string]cache.Controls{
		"no-cache": {NoCache: true}, "no-store": {NoStore: true}, "max-age": {MaxAge: time.Second},
	} {
		c, _ := setup(t, cache.Config{})
		key := plain(t)
		special := ask(c, key, controls)
		usual := ask(c, key, cache.Controls{}) // would hang if it waited
		if again := ask(c, key, controls); again.Entry != nil {
			t.Errorf("%s: %+v", name, again)
		}
		special.Ticket.Leave()
		usual.Ticket.Leave()
	}
}

func TestATicketEndsOnce(t *testing.T) {
	c, s := setup(t, cache.Config{})
	key := plain(t)
	r := ask(c, key, cache.Controls{})
	r.Ticket.Unstorable()
	next := ask(c, key, cache.Controls{})
	r.Ticket.Leave() // must not end the turn of the next
	r.Ticket.Done(sample())
	if r.Ticket.Recorder(asking(t, 1, ""), false) != nil {
		t.Error("an ended ticket records")
	}
	_ = c.Close(t.Context())
	if len(s.values) != 0 {
		t.Error("an ended ticket stored something")
	}
	next.Ticket.Leave()
	var none *cache.Ticket
	none.Leave()
	none.Failed()
	none.Unstorable()
	none.Done(nil)
	if none.Recorder(nil, false) != nil {
		t.Error("no ticket records")
	}
}

// However requests end, in the end nobody waits and the next one is served.
func TestAnyMixOfEndsLeavesNobodyWaiting(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := setup(t, cache.Config{MaxWait: 3 * time.Second})
			keys := []cache.Key{plain(t), keyOf(t, `{"model":"n",`+hello+`}`)}
			var all sync.WaitGroup
			for i := range uint64(60) {
				rng := rand.New(rand.NewPCG(seed, i))
				all.Go(func() {
					time.Sleep(time.Duration(rng.IntN(5000)) * time.Millisecond)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(4000))*time.Millisecond)
					defer cancel()
					r := c.Ask(ctx, keys[rng.IntN(2)], cache.Controls{NoStore: rng.IntN(10) == 0, NoCache: rng.IntN(10) == 0})
					defer r.Ticket.Leave()
					if r.Ticket == nil {
						return
					}
					time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
					switch rng.IntN(6) {
					case 0:
						r.Ticket.Unstorable()
					case 1, 2:
						r.Ticket.Failed()
					case 3:
						r.Ticket.Done(sample())
					}
				})
			}
			all.Wait()
			if got := c.Stats().Waiting; got != 0 {
				t.Errorf("seed %d: %d wait", seed, got)
			}
			began := time.Now()
			for _, key := range keys {
				r := ask(c, key, cache.Controls{})
				r.Ticket.Leave()
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("seed %d: a place was not given back: waited %v", seed, took)
			}
		})
	}
}
