package limit_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// replica is one of several Limiters over one Redis.
type replica struct {
	*limit.Limiter
	store *store.Shared
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns what was logged, one message each.
func (l *lockedBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.b.String()), "\n")
}

var replicas atomic.Int64

func newReplica(tb testing.TB, server *storetest.Server, o limit.Options, lease time.Duration) *replica {
	return newReplicaWithin(tb, server, o, lease, 5*time.Second) // a busy test machine is not a dead Redis
}

func newReplicaWithin(tb testing.TB, server *storetest.Server, o limit.Options, lease, budget time.Duration) *replica {
	tb.Helper()
	return newReplicaOf(tb, store.Server{URL: "redis://" + server.Addr}, o, lease, budget)
}

func newReplicaOf(tb testing.TB, server store.Server, o limit.Options, lease, budget time.Duration) *replica {
	tb.Helper()
	r, err := store.NewRedis(store.RedisOptions{
		Server: server, Replica: fmt.Sprint("replica-", replicas.Add(1)), Now: time.Now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	log := &lockedBuffer{}
	s := store.NewShared(store.SharedOptions{Redis: r, Lease: lease, Budget: budget, Now: time.Now, Log: slog.New(slog.NewTextHandler(log, nil))})
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
				if r, ok := err.(*limit.Refused); !ok || r.Wait > 61*time.Second || r.Wait < 55*time.Second {
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

func TestTokensOvershootByTheEstimationErrorOnly(t *testing.T) {
	server := storetest.Start(t)
	const limited, real = 20000, 700 // a request is estimated at 8+100+400 = 508 tokens
	o := limit.Options{Deployments: deployments(limit.Budget{TPM: limited})}
	both := []*replica{newReplica(t, server, o, 0), newReplica(t, server, o, 0)}
	var used, running, most atomic.Int64
	var all sync.WaitGroup
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
	if worst := most.Load() * (real - 508); over > worst {
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
	for deadline := time.Now().Add(10 * time.Second); b.Room("a") || b.InFlight("a") != 10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("room %v, in flight %d", b.Room("a"), b.InFlight("a"))
		}
	}
	if requests, _ := b.Used("a"); requests != 10 || !b.Room("b") {
		t.Errorf("used %d, room on b %v", requests, b.Room("b"))
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
	} else if _, ok := err.(*limit.Refused); !ok {
		p.failed = append(p.failed, err)
	}
}

func (p *pressure) end() {
	close(p.stop)
	p.workers.Wait()
	slices.Sort(p.took)
}

func TestAFrozenRedisDelaysAndFailsNobody(t *testing.T) {
	t.Run("one server", func(t *testing.T) {
		server := storetest.Start(t)
		testFrozen(t, store.Server{URL: "redis://" + server.Addr}, []*storetest.Server{server})
	})
	t.Run("a cluster", func(t *testing.T) {
		servers := storetest.StartCluster(t)
		testFrozen(t, store.Server{ClusterNodes: storetest.Addrs(servers)}, servers)
	})
}

func testFrozen(t *testing.T, server store.Server, servers []*storetest.Server) {
	const lots = 1 << 30
	r := newReplicaOf(t, server, limit.Options{Deployments: deployments(limit.Budget{RPM: lots, MaxParallel: lots}), MaxParallel: lots}, 0, 0)
	p := press(t, 10, r)
	waitFor(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.took) > 200 })
	for _, s := range servers {
		s.Freeze(t)
	}
	frozen := time.Now()
	waitFor(t, r.store.Away)
	waitFor(t, func() bool { return time.Since(frozen) > 3*time.Second })
	for _, s := range servers {
		s.Thaw(t)
	}
	waitFor(t, func() bool { return !r.store.Away() })
	back := time.Since(frozen)
	waitFor(t, func() bool { return time.Since(frozen) > back+500*time.Millisecond })
	p.end()
	n := len(p.took)
	t.Logf("%d calls, p50 %v, p99 %v, max %v; frozen for 3 s, back after %v", n, p.took[n/2], p.took[n*99/100], p.took[n-1], back)
	if p.took[n-1] > 200*time.Millisecond {
		t.Errorf("a call took %v", p.took[n-1])
	}
	if len(p.failed) > 0 || p.admitted != n {
		t.Errorf("%d of %d were admitted; errors: %v", p.admitted, n, p.failed)
	}
	r.wantDownAndUp(t)
}

// wantDownAndUp checks that the log has one line for when Redis went and one for
// when it returned.
func (r *replica) wantDownAndUp(t *testing.T) {
	t.Helper()
	lines := r.log.lines()
	if len(lines) != 2 || !strings.Contains(lines[0], "does not answer") || !strings.Contains(lines[1], "answers again") {
		t.Errorf("want one line when it goes and one when it returns, got %q", lines)
	}
}

// A server that answers, but refuses to write, is away all the same, and not
// there and gone again five times a second.
func TestARedisThatCannotWriteIsAway(t *testing.T) {
	server := storetest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	r := newReplicaWithin(t, server, limit.Options{Deployments: deployments(limit.Budget{RPM: 1 << 30})}, 0, 0)
	p := press(t, 2, r)
	memory := func(most string) {
		t.Helper()
		if err := c.ConfigSet(t.Context(), "maxmemory", most).Err(); err != nil {
			t.Fatal(err)
		}
	}
	memory("1")
	waitFor(t, r.store.Away)
	full := time.Now()
	waitFor(t, func() bool { return time.Since(full) > time.Second })
	memory("0")
	waitFor(t, func() bool { return !r.store.Away() })
	p.end()
	if len(p.failed) > 0 || p.admitted != len(p.took) {
		t.Errorf("%d of %d were admitted; errors: %v", p.admitted, len(p.took), p.failed)
	}
	r.wantDownAndUp(t)
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never happens")
		}
	}
}

func TestWithoutRedisEachReplicaKeepsItsShare(t *testing.T) {
	server := storetest.Start(t)
	o := limit.Options{Deployments: deployments(limit.Budget{RPM: 100})}
	both := []*replica{newReplicaWithin(t, server, o, 0, 0), newReplicaWithin(t, server, o, 0, 0)}
	// The first learns of the second with its next beat.
	waitFor(t, func() bool { p, _ := both[0].store.Beat(t.Context(), store.Beat{}); return p.Replicas == 2 })
	ids := 0
	admit := func(r *replica, most int) (n int) {
		for range most {
			ids++
			if a, err := r.Admit(t.Context(), one(ids)); err == nil {
				a.Close(done)
				n++
			}
		}
		return n
	}
	if n := admit(both[0], 30); n != 30 {
		t.Fatalf("%d of 30 were admitted", n)
	}
	server.Kill()
	if n, m := admit(both[0], 200), admit(both[1], 200); n != 20 || m != 50 {
		t.Errorf("%d and %d were admitted, want 20 and 50: half of the limit each, what was used before included", n, m)
	}
	server.Restart(t)
	waitFor(t, func() bool { return !both[0].store.Away() && !both[1].store.Away() })
	// The new Redis is empty, but is told what was admitted before and meanwhile.
	waitFor(t, func() bool {
		p, _ := both[0].store.Beat(t.Context(), store.Beat{Watch: []string{"d/a/rpm"}})
		return p.Used[0] == 100
	})
	if n := admit(both[1], 100); n != 0 {
		t.Errorf("%d were admitted after the return, want none: the minute's 100 are used up", n)
	}
}

func TestAReplicaKilledGivesItsSlotsBackWithinTheLease(t *testing.T) {
	server := storetest.Start(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+server.Addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "holding 0 0 0 0 1\n" {
		t.Fatal(line, err)
	}
	r := newReplica(t, server, victimLimits(), victimLease)
	began := time.Now()
	for id := 0; time.Since(began) < 2*victimLease; id++ { // while it lives they stay taken
		if a, err := r.Admit(t.Context(), one(id)); err == nil {
			t.Fatal("a slot was given twice", a)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	killed := time.Now()
	id := 1000
	waitFor(t, func() bool { id++; _, err := r.Admit(t.Context(), one(id)); return err == nil })
	if took := time.Since(killed); took > victimLease+500*time.Millisecond {
		t.Errorf("the slots were free %v after the kill, the lease is %v", took, victimLease)
	}
	for range 3 { // all of them, and no more
		id++
		if _, err := r.Admit(t.Context(), one(id)); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Admit(t.Context(), one(9999)); err == nil {
		t.Error("more slots came back than there are")
	}
}

func TestAReplicaStartsWithoutRedis(t *testing.T) {
	server := storetest.Start(t)
	server.Kill()
	r := newReplicaWithin(t, server, limit.Options{Deployments: deployments(limit.Budget{RPM: 2})}, 0, 0)
	for i, want := range []bool{true, true, false} {
		if _, err := r.Admit(t.Context(), one(i)); (err == nil) != want {
			t.Errorf("request %d: %v", i, err)
		}
	}
	server.Restart(t)
	waitFor(t, func() bool { return !r.store.Away() })
	if n := len(r.log.lines()); n != 2 {
		t.Errorf("%q", r.log.lines())
	}
}

func TestRunningRequestsKeepTheirSlotsThroughAnOutage(t *testing.T) {
	server := storetest.Start(t)
	const lease = 600 * time.Millisecond
	r := newReplicaWithin(t, server, limit.Options{MaxParallel: 1}, lease, 0)
	a, err := r.Admit(t.Context(), one(1))
	if err != nil {
		t.Fatal(err)
	}
	server.Kill()
	if _, err := r.Admit(t.Context(), one(2)); err == nil {
		t.Error("the only slot was given twice when Redis went")
	}
	waitFor(t, r.store.Away)
	server.Restart(t)
	waitFor(t, func() bool { return !r.store.Away() })
	began := time.Now()
	waitFor(t, func() bool { return time.Since(began) > 2*lease })
	if _, err := r.Admit(t.Context(), one(3)); err == nil {
		t.Error("the only slot was given twice after Redis came back")
	}
	a.Close(done)
	waitFor(t, func() bool { _, err := r.Admit(t.Context(), one(4)); return err == nil })
}
