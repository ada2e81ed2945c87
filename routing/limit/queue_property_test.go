package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// queueWorld is a Limiter with random limits, and random requests that run and wait.
type queueWorld struct {
	*limit.Limiter
	t       *testing.T
	dice    *rand.Rand
	options limit.Options
	seed    uint64
	n       int
	events  []string
	running []*limit.Admission
	waiting []*waitingRequest
	served  chan *waitingRequest // that have left the queue
}

// waitingRequest is a request that was told to wait.
type waitingRequest struct {
	ask       *limit.Ask
	leave     context.CancelFunc
	admission *limit.Admission
	err       error
}

// same reports whether nothing tells two requests apart but when they came.
func (r *waitingRequest) same(other *waitingRequest) bool {
	return r.ask.Caller == other.ask.Caller && r.ask.Size == other.ask.Size &&
		slices.Equal(sorted(r.ask.Candidates), sorted(other.ask.Candidates))
}

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

// randomOptions are limits of slots, and with windows of requests and tokens too.
func randomOptions(dice *rand.Rand, windows bool) limit.Options {
	budget := func(most int) (b limit.Budget) {
		if dice.IntN(3) > 0 {
			b.MaxParallel = int64(1 + dice.IntN(most))
		}
		if windows && dice.IntN(2) == 0 {
			b.RPM = int64(2 + dice.IntN(10*most))
		}
		if windows && dice.IntN(2) == 0 {
			b.TPM = int64(3000 + dice.IntN(3000*most))
		}
		return b
	}
	o := limit.Options{Groups: map[string]limit.Budget{}, Queue: &limit.QueueOptions{Timeout: time.Hour}}
	for i := range 2 + dice.IntN(5) {
		group := []string{"g", "h"}[dice.IntN(2)]
		o.Deployments = append(o.Deployments, limit.Deployment{ID: string(rune('a' + i)), Group: group, Budget: budget(2)})
	}
	if dice.IntN(2) == 0 {
		o.Groups["g"] = budget(3)
	}
	if dice.IntN(2) == 0 {
		o.Caller = limit.Budget{MaxParallel: int64(1 + dice.IntN(3))}
	}
	if dice.IntN(2) == 0 {
		o.MaxParallel = int64(2 + dice.IntN(4))
	}
	return o
}

// arrive is a request for a random choice of deployments, as tags, fallbacks of its own,
// its endpoint and its size leave them.
func (w *queueWorld) arrive() {
	w.n++
	ask := &limit.Ask{
		ID: fmt.Sprint(w.n), Model: "m", Caller: []string{"", "one", "two"}[w.dice.IntN(3)],
		Size: limit.Size{Text: int64(w.dice.IntN(3)) * 4000, MaxOutput: 100},
	}
	all := w.dice.Perm(len(w.options.Deployments))
	for _, i := range all[:1+w.dice.IntN(len(all))] {
		ask.Candidates = append(ask.Candidates, w.options.Deployments[i].ID)
	}
	w.note("%s of %q may go to %s", ask.ID, ask.Caller, strings.Join(ask.Candidates, " "))
	a, err := w.Admit(w.t.Context(), ask)
	if err == nil {
		w.running = append(w.running, a)
		return
	}
	if r, ok := errors.AsType[*limit.Refused](err); !ok || !r.NeedsSlot {
		return
	}
	ctx, leave := context.WithCancel(w.t.Context())
	r := &waitingRequest{ask: ask, leave: leave}
	w.waiting = append(w.waiting, r)
	go func() {
		r.admission, _, r.err = w.AdmitQueued(ctx, ask, limit.Ticket{})
		w.served <- r
	}()
}

func (w *queueWorld) note(format string, args ...any) {
	w.events = append(w.events, fmt.Sprintf(format, args...))
}

// event is one thing that happens.
func (w *queueWorld) event() {
	switch i := w.dice.IntN(10); {
	case i < 5:
		w.arrive()
	case i < 8 && len(w.running) > 0:
		at := w.dice.IntN(len(w.running))
		w.note("a request ends")
		w.running[at].Close(limit.Outcome{
			Reached: w.dice.IntN(4) > 0, Known: true, Prompt: int64(w.dice.IntN(1500)), Completion: int64(w.dice.IntN(200)),
		})
		w.running = slices.Delete(w.running, at, at+1)
	case i < 9 && len(w.waiting) > 0:
		w.note("a client leaves")
		w.waiting[w.dice.IntN(len(w.waiting))].leave()
	default:
		w.note("time passes")
		time.Sleep(time.Duration(w.dice.IntN(20)) * time.Second / 10)
	}
}

// settle takes in who has left the queue. Nobody may be served before one that is the
// same and came earlier.
func (w *queueWorld) settle() {
	synctest.Wait()
	for len(w.served) > 0 {
		r := <-w.served
		r.leave()
		w.waiting = slices.DeleteFunc(w.waiting, func(other *waitingRequest) bool { return other == r })
		if r.err != nil {
			continue
		}
		w.note("%s is served", r.ask.ID)
		w.running = append(w.running, r.admission)
		for _, other := range w.waiting {
			if other.same(r) && len(other.ask.ID) <= len(r.ask.ID) && other.ask.ID < r.ask.ID {
				w.fail("%s was served before %s, which came earlier", r.ask.ID, other.ask.ID)
			}
		}
	}
}

func (w *queueWorld) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: %s\n%+v\n%s", w.seed, fmt.Sprintf(format, args...), w.options, strings.Join(w.events, "\n"))
}

// TestNoRequestWaitsWhileOneOfItsCandidatesIsFree: after every event, whoever waits would
// be refused by the limits themselves.
func TestNoRequestWaitsWhileOneOfItsCandidatesIsFree(t *testing.T) {
	for _, windows := range []bool{false, true} {
		t.Run(fmt.Sprintf("windows %v", windows), func(t *testing.T) {
			waited := 0
			for seed := range uint64(150) {
				synctest.Test(t, func(t *testing.T) { waited += testQueueWorld(t, seed, windows) })
			}
			if waited < 1000 {
				t.Errorf("only %d waits were looked at", waited)
			}
		})
	}
}

func testQueueWorld(t *testing.T, seed uint64, windows bool) (waited int) {
	dice := rand.New(rand.NewPCG(seed, 13))
	memory := store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	w := &queueWorld{t: t, dice: dice, options: randomOptions(dice, windows), seed: seed, served: make(chan *waitingRequest, 1000)}
	w.options.Store, w.options.Now = memory, time.Now
	w.Limiter = limit.New(w.options)
	defer w.Close()
	bare := w.options // the limits without the queue, which share what is known of the sizes
	bare.Queue, bare.Previous = nil, w.Limiter
	judge := limit.New(bare)
	defer judge.Close()
	for range 120 {
		w.event()
		w.settle()
		if windows {
			time.Sleep(100 * time.Millisecond) // nobody says when a minute has passed: a poll
			w.settle()
		}
		for _, r := range w.waiting {
			waited++
			probe := *r.ask
			probe.ID = "probe"
			if a, err := judge.Admit(t.Context(), &probe); err == nil {
				w.fail("%s waits, and %s has room", r.ask.ID, probe.Candidates[a.Chosen()])
			}
		}
	}
	for _, r := range w.waiting {
		r.leave()
	}
	synctest.Wait()
	w.settle()
	for _, a := range w.running {
		a.Close(limit.Outcome{})
	}
	if n := w.Queued(); n != 0 {
		w.fail("%d are left in the queue", n)
	}
	return waited
}
