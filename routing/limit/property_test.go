package limit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// crowd is what the property tests let loose on Limiters: requests that end in
// every way there is.
type crowd struct {
	*testing.T
	ids  string // what the requests' IDs begin with
	hold time.Duration
	mu   sync.Mutex
	dice *rand.Rand
}

func (c *crowd) roll(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dice.IntN(n)
}

// busy are limits that a crowd runs into all the time.
func busy() limit.Options {
	return limit.Options{
		Deployments: deployments(limit.Budget{RPM: 40, TPM: 40000, MaxParallel: 3}, limit.Budget{ITPM: 9000, OTPM: 30000, MaxParallel: 4},
			limit.Budget{}),
		Groups:      map[string]limit.Budget{"g": {RPM: 90, MaxParallel: 6}},
		Caller:      limit.Budget{RPM: 50, TPM: 60000, MaxParallel: 4},
		MaxParallel: 8,
		Queue:       &limit.QueueOptions{Size: 10, Timeout: 2 * time.Second},
	}
}

// request is one request of the crowd. killed: its process dies, nothing is said
// of it any more.
func (c *crowd) request(l *limit.Limiter, n int, killed bool) {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	if c.roll(4) == 0 { // the client leaves at some time
		stop := time.AfterFunc(time.Duration(c.roll(1000))*c.hold/1000, cancel)
		defer stop.Stop()
	}
	ask := &limit.Ask{
		ID: fmt.Sprint(c.ids, n), Model: "m", Caller: []string{"", "one", "two"}[c.roll(3)], Candidates: []string{"a", "b", "c"}[c.roll(3):],
		Size: limit.Size{Text: int64(c.roll(8000)), MaxOutput: int64(c.roll(2000))},
	}
	a, err := l.Admit(ctx, ask)
	if r, ok := errors.AsType[*limit.Refused](err); ok && r.NeedsSlot && c.roll(2) == 0 {
		a, _, err = l.AdmitQueued(ctx, ask, limit.Ticket{Bytes: 1000})
	}
	if err != nil || killed {
		return
	}
	for range c.roll(3) { // attempts that fail
		c.pause()
		if _, err := a.Next(ctx, []string{"a", "b", "c"}[c.roll(3):], c.outcome()); err != nil {
			break
		}
	}
	c.pause()
	end := c.outcome()
	var closers sync.WaitGroup
	for range 1 + c.roll(2) {
		closers.Go(func() { a.Close(end) })
	}
	closers.Wait()
}

func (c *crowd) pause() { time.Sleep(time.Duration(1+c.roll(1000)) * c.hold / 1000) }

func (c *crowd) outcome() limit.Outcome {
	return []limit.Outcome{
		{}, // cancelled or refused before the provider was reached
		{Reached: true},
		{Reached: true, Known: true},
		{Reached: true, Known: true, Prompt: int64(c.roll(3000)), Completion: int64(c.roll(3000))},
	}[c.roll(4)]
}

// keys are all slots of the options busy.
func keys() []store.Slot {
	var all []store.Slot
	for _, key := range []string{"all/slots", "d/a/slots", "d/b/slots", "g/g/slots", callerKey("one", "/slots"), callerKey("two", "/slots")} {
		all = append(all, store.Slot{Key: key, Limit: 1})
	}
	return all
}

func windows() []string {
	all := []string{"d/a/rpm", "d/a/tpm", "d/b/itpm", "d/b/otpm", "g/g/rpm"}
	for _, caller := range []string{"one", "two"} {
		all = append(all, callerKey(caller, "/rpm"), callerKey(caller, "/tpm"))
	}
	return all
}

// callerKey is a key of a caller's limits: their names are hashed.
func callerKey(caller, suffix string) string {
	sum := sha256.Sum256([]byte(caller))
	return "c/" + hex.EncodeToString(sum[:16]) + suffix
}

func TestWhateverEndsRequestsNothingStaysTaken(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			memory := store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
			o := busy()
			o.Store, o.Now = memory, time.Now
			l := limit.New(o)
			defer l.Close()
			c := &crowd{T: t, hold: time.Second, dice: rand.New(rand.NewPCG(seed, 1))}
			var all sync.WaitGroup
			for n := range 300 {
				all.Go(func() { c.request(l, n, false) })
				time.Sleep(time.Duration(c.roll(50)) * time.Millisecond)
			}
			all.Wait()
			empty(t, memory, l)
			time.Sleep(61 * time.Second)
			peers, _ := memory.Beat(t.Context(), store.Beat{Watch: windows()})
			for i, used := range peers.Used {
				if used != 0 {
					t.Errorf("seed %d: %s is at %d a minute later", seed, windows()[i], used)
				}
			}
		})
	}
}

// empty checks that every slot can be taken, be there only one, and that nothing
// counts as running.
func empty(t *testing.T, s limit.Store, l *limit.Limiter) {
	t.Helper()
	for _, slot := range keys() {
		q := &store.Request{ID: "probe", Candidates: []store.Demand{{Slots: []store.Slot{slot}}}}
		if r, err := s.Acquire(t.Context(), q); err != nil || r.Chosen != 0 {
			t.Errorf("%s is still held (%+v, %v)", slot.Key, r, err)
		}
		s.Settle(store.Settlement{ID: "probe", Slots: []string{slot.Key}})
	}
	for _, id := range []string{"a", "b", "c"} {
		if n := l.Running(id); n != 0 {
			t.Errorf("%d run on %s", n, id)
		}
	}
	if n := l.Queued(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

func TestAKilledReplicaGivesItsSlotsBack(t *testing.T) {
	server := storetest.Start(t)
	const lease = 700 * time.Millisecond
	dead, alive := newReplica(t, server, busy(), lease), newReplica(t, server, busy(), lease)
	c := &crowd{T: t, hold: 20 * time.Millisecond, dice: rand.New(rand.NewPCG(7, 7))}
	var all sync.WaitGroup
	for n := range 200 {
		on, killed := alive, false
		if n%2 == 0 {
			on, killed = dead, n > 100
		}
		all.Go(func() { c.request(on.Limiter, n, killed) })
	}
	all.Wait()
	if err := dead.store.Close(); err != nil { // from here on it renews nothing, as if killed
		t.Fatal(err)
	}
	died, clock := time.Now(), asynctest.WatchStalls(t).Clock()
	for _, slot := range keys() {
		q := &store.Request{ID: "probe", Candidates: []store.Demand{{Slots: []store.Slot{slot}}}}
		for {
			if r, err := alive.store.Acquire(t.Context(), q); err == nil && r.Chosen == 0 {
				break
			}
			if time.Since(died) > 2*time.Minute {
				t.Fatalf("%s is never free", slot.Key)
			}
			time.Sleep(10 * time.Millisecond)
		}
		alive.store.Settle(store.Settlement{ID: "probe", Slots: []string{slot.Key}})
	}
	if took, late := clock(); testring.JudgesTimes() && took-late > lease+time.Second {
		t.Errorf("the slots were free after %v, the lease is %v; the machine was late by %v", took, lease, late)
	}
}
