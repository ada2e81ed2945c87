package limit_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// replica is one of several Limiters over one Redis.
type replica struct {
	*limit.Limiter
	store *store.Shared
	log   *asynctest.Text
}

var replicas atomic.Int64

func newReplica(tb testing.TB, server *storetest.Server, o limit.Options, lease time.Duration) *replica {
	tb.Helper()
	// A busy test machine is not a dead Redis.
	return newReplicaOf(tb, at(server), o, store.SharedOptions{Lease: lease, Silence: 4 * time.Second, Budget: 5 * time.Second})
}

// at is where a test's server is.
func at(server *storetest.Server) store.Server {
	return store.Server{URL: "redis://" + server.Addr}
}

// newReplicaOf is newReplica for a server of one's own and times of the store.
func newReplicaOf(tb testing.TB, server store.Server, o limit.Options, shared store.SharedOptions) *replica {
	tb.Helper()
	r, err := store.NewRedis(store.RedisOptions{
		Server: server, Replica: fmt.Sprint("replica-", replicas.Add(1)), Now: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	log := &asynctest.Text{}
	shared.Redis, shared.Now, shared.Log = r, time.Now, slog.New(slog.NewTextHandler(log, nil))
	s := store.NewShared(shared)
	o.Store, o.Now = s, time.Now
	l := limit.New(o)
	tb.Cleanup(func() {
		l.Close()
		_ = s.Close()
	})
	return &replica{Limiter: l, store: s, log: log}
}

func one(id int) *limit.Ask {
	return &limit.Ask{ID: fmt.Sprint("request-", id), Model: "m", Candidates: []string{"a"}}
}

func TestTwoReplicasAdmitExactlyTheLimit(t *testing.T) {
	server := storetest.Start(t)
	o := limit.Options{Deployments: deployments(limit.Budget{RPM: 100})}
	both := []*replica{newReplica(t, server, o, 0), newReplica(t, server, o, 0)}
	var admitted atomic.Int64
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			a, err := both[i%2].Admit(t.Context(), one(i))
			if err != nil {
				if r, ok := errors.AsType[*limit.Refused](err); !ok || r.Wait > 61*time.Second || r.Wait < 55*time.Second {
					t.Error(err)
				}
				return
			}
			admitted.Add(1)
			a.Close(done)
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 100 {
		t.Errorf("%d of 400 were admitted, want 100", n)
	}
}

func TestSoakTokensOvershootByTheEstimationErrorOnly(t *testing.T) {
	testring.Soak(t, "the overshoot depends on how soon the store hears")
	server := storetest.Start(t)
	const limited, real = 20000, 700 // a request is estimated at 8+100+400 = 508 tokens
	o := limit.Options{Deployments: deployments(limit.Budget{TPM: limited})}
	both := []*replica{newReplica(t, server, o, 0), newReplica(t, server, o, 0)}
	var used, running, most atomic.Int64
	var all sync.WaitGroup
	clock := asynctest.WatchStalls(t).Clock()
	for i := range 40 {
		all.Go(func() {
			for n := range 10 {
				ask := one(i*100 + n)
				ask.Size = limit.Size{Text: 400, MaxOutput: 400}
				a, err := both[i%2].Admit(t.Context(), ask)
				if err != nil {
					continue
				}
				now := running.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				used.Add(real)
				time.Sleep(20 * time.Millisecond) // the provider at work
				running.Add(-1)
				a.Close(limit.Outcome{Reached: true, Known: true, Prompt: 200, Completion: real - 200})
			}
		})
	}
	all.Wait()
	over := used.Load() - limited
	t.Logf("limit %d, used %d, overshoot %d; at most %d ran at once", limited, used.Load(), over, most.Load())
	_, late := clock()
	underway := 10 + 2*late.Milliseconds() // have ended, of 40 in 20 ms, but the store does not know yet
	if worst := (most.Load() + underway) * (real - 508); over > worst {
		t.Errorf("overshoot %d, want at most %d: %d running requests, each %d tokens too low", over, worst, most.Load(), real-508)
	}
}

func TestReplicasHearOfEachOther(t *testing.T) {
	server := storetest.Start(t)
	o := limit.Options{Deployments: deployments(limit.Budget{RPM: 10}, limit.Budget{})}
	a, b := newReplica(t, server, o, 0), newReplica(t, server, o, 0)
	for i := range 10 {
		if _, err := a.Admit(t.Context(), one(i)); err != nil {
			t.Fatal(err)
		}
	}
	asynctest.Await(t, "the other replica knows that a is full and busy", func() bool {
		requests, _ := b.Used("a")
		return b.InFlight("a") == 10 && requests == 10
	})
	if n := b.InFlight("b"); n != 0 {
		t.Errorf("it counts %d requests on b", n)
	}
}

// load keeps asking until it is told to stop, and times every call.
type pressure struct {
	stop     chan struct{}
	workers  sync.WaitGroup
	mu       sync.Mutex
	took     []time.Duration
	admitted int
	failed   []error
}

func press(t *testing.T, workers int, on ...*replica) *pressure {
	p := &pressure{stop: make(chan struct{})}
	for w := range workers {
		p.workers.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				select {
				case <-p.stop:
					return
				case <-tick.C:
				}
				began := time.Now()
				a, err := on[w%len(on)].Admit(t.Context(), one(w*1e6+n))
				p.note(time.Since(began), err)
				if err == nil {
					a.Close(done)
				}
			}
		})
	}
	return p
}

func (p *pressure) note(took time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, took)
	if err == nil {
		p.admitted++
	} else if _, ok := errors.AsType[*limit.Refused](err); !ok {
		p.failed = append(p.failed, err)
	}
}

func (p *pressure) end() {
	close(p.stop)
	p.workers.Wait()
	slices.Sort(p.took)
}
