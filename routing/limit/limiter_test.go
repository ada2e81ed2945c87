package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// What others ask of a Limiter and of its store.
var (
	_ routing.Limits        = (*limit.Limiter)(nil)
	_ routing.Peers         = (*limit.Limiter)(nil)
	_ limit.Store           = (*store.Shared)(nil)
	_ routing.CooldownStore = (*store.Shared)(nil)
)

// world is a Limiter over a Memory. It counts what the store is asked.
type world struct {
	*limit.Limiter
	t      *testing.T
	memory *store.Shared
	asked  atomic.Int64
	ids    atomic.Int64
	during func() // runs before an answer of the store arrives
}

func (w *world) Acquire(ctx context.Context, q *store.Request) (store.Reply, error) {
	w.asked.Add(1)
	reply, err := w.memory.Acquire(ctx, q)
	if w.during != nil {
		w.during()
	}
	return reply, err
}

func (w *world) Settle(s store.Settlement) {
	w.asked.Add(1)
	w.memory.Settle(s)
}

func (w *world) Beat(ctx context.Context, b store.Beat) (store.Peers, error) {
	return w.memory.Beat(ctx, b)
}

// alone runs a test with a Limiter of its own, in a bubble with its own time.
func alone(t *testing.T, o limit.Options, run func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, memory: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})}
		o.Store, o.Now = w, time.Now
		w.Limiter = limit.New(o)
		defer w.Close()
		run(t, w)
	})
}

// deployments makes deployments of the group "g" from budgets.
func deployments(budgets ...limit.Budget) []limit.Deployment {
	var all []limit.Deployment
	for i, b := range budgets {
		all = append(all, limit.Deployment{ID: string(rune('a' + i)), Group: "g", Budget: b})
	}
	return all
}

func (w *world) ask(candidates string) *limit.Ask {
	return &limit.Ask{ID: fmt.Sprint(w.ids.Add(1)), Model: "m", Candidates: strings.Split(candidates, "")}
}

// admit admits a request that must have room.
func (w *world) admit(candidates string) *limit.Admission {
	w.t.Helper()
	a, err := w.Admit(w.t.Context(), w.ask(candidates))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// refused asks for a request that must not have room.
func (w *world) refused(ask *limit.Ask) *limit.Refused {
	w.t.Helper()
	a, err := w.Admit(w.t.Context(), ask)
	if err == nil {
		w.t.Fatalf("candidate %d was admitted", a.Chosen())
	}
	var refused *limit.Refused
	if !errors.As(err, &refused) {
		w.t.Fatal(err)
	}
	return refused
}

func (w *world) wantUsed(deployment string, requests, tokens int64) {
	w.t.Helper()
	time.Sleep(1500 * time.Millisecond) // a beat, in the bubble's time
	if r, n := w.Used(deployment); r != requests || n != tokens {
		w.t.Errorf("deployment %s used %d requests and %d tokens, want %d and %d", deployment, r, n, requests, tokens)
	}
}

var done = limit.Outcome{Reached: true, Known: true, Prompt: 10, Completion: 5}

func TestRequestsPerMinuteSlide(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 3})}, func(t *testing.T, w *world) {
		began := time.Now()
		for range 3 {
			w.admit("a").Close(done)
			time.Sleep(10 * time.Second)
		}
		r := w.refused(w.ask("a"))
		if free := time.Since(began) + r.Wait; free < 60*time.Second || free > 61*time.Second {
			t.Errorf("room is announced for %v after the first request", free)
		}
		time.Sleep(r.Wait - time.Millisecond)
		w.refused(w.ask("a"))
		time.Sleep(time.Millisecond)
		w.admit("a").Close(done)
		if r = w.refused(w.ask("a")); r.Wait > 11*time.Second {
			t.Errorf("the second slice leaves 10 s after the first, not %v", r.Wait)
		}
	})
}

func TestRefusalIsOpenAIShaped(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 1, TPM: 10000})}, func(t *testing.T, w *world) {
		a := w.admit("a")
		want := upstream.Header{
			{Name: "x-ratelimit-limit-requests", Value: "1"}, {Name: "x-ratelimit-remaining-requests", Value: "0"},
			{Name: "x-ratelimit-reset-requests", Value: "1m1s"},
			{Name: "x-ratelimit-limit-tokens", Value: "10000"}, {Name: "x-ratelimit-remaining-tokens", Value: "9480"},
			{Name: "x-ratelimit-reset-tokens", Value: "1m1s"},
		}
		if diff := cmp.Diff(want, a.Header()); diff != "" {
			t.Errorf("header of the answer (-want +got):\n%s", diff)
		}
		var e *upstream.Error
		if !errors.As(error(w.refused(w.ask("a"))), &e) {
			t.Fatal("the refusal is no upstream.Error")
		}
		want = append(upstream.Header{{Name: "retry-after", Value: "61"}}, want...)
		wantError := &upstream.Error{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded",
			Message: "the limit of requests or tokens per minute of `m` is reached (rpm 1 of deployment/a); try again in 61 s", Header: want}
		if diff := cmp.Diff(wantError, e); diff != "" {
			t.Errorf("refusal (-want +got):\n%s", diff)
		}
	})
}

func TestTheFirstDeploymentWithRoomIsChosen(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 1}, limit.Budget{MaxParallel: 1}, limit.Budget{})},
		func(t *testing.T, w *world) {
			var got []int
			for range 4 {
				got = append(got, w.admit("abc").Chosen())
			}
			if diff := cmp.Diff([]int{0, 1, 2, 2}, got); diff != "" {
				t.Errorf("choices (-want +got):\n%s", diff)
			}
		})
}

func TestAFullDeploymentIsKnownUntilItHasRoom(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 1}, limit.Budget{TPM: 1000}, limit.Budget{MaxParallel: 1})},
		func(t *testing.T, w *world) {
			w.admit("a")
			if wait := w.Wait("a", 10); wait != 0 {
				t.Errorf("%v before anybody was refused", wait)
			}
			told := w.refused(w.ask("a")).Wait
			if wait := w.Wait("a", 10); wait != told {
				t.Errorf("%v, want %v as the refusal says", wait, told)
			}
			time.Sleep(told)
			if wait := w.Wait("a", 10); wait != 0 {
				t.Errorf("%v after that time", wait)
			}
			running := w.admit("b") // 520 of 1000 tokens
			w.refused(w.ask("b"))
			if small, large := w.Wait("b", 100), w.Wait("b", 600); small != 0 || large == 0 {
				t.Errorf("%v for few tokens, %v for many", small, large)
			}
			running.Close(done) // 15 tokens, in truth
			if wait := w.Wait("b", 600); wait != 0 {
				t.Errorf("%v after the correction", wait)
			}
			elsewhere := func(tokens int64) { // another replica charges, or corrects
				w.memory.Settle(store.Settlement{Corrections: []store.Correction{{Key: "d/b/tpm", Second: time.Now().Unix(), Delta: tokens}}})
			}
			elsewhere(985)
			w.refused(w.ask("b"))
			elsewhere(-500)
			time.Sleep(1500 * time.Millisecond)
			if wait := w.Wait("b", 600); wait != 0 {
				t.Errorf("%v after the correction of another replica", wait)
			}
			w.admit("c")
			w.refused(w.ask("c"))
			if wait := w.Wait("c", 10); wait != 0 {
				t.Errorf("%v for want of a slot", wait)
			}
		})
}

func TestWithoutLimitsTheStoreIsNotAsked(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{}, limit.Budget{RPM: 1}), Caller: limit.Budget{RPM: 5}},
		func(t *testing.T, w *world) {
			a := w.admit("ab")
			if n := w.Running("a"); n != 1 {
				t.Errorf("%d in flight", n)
			}
			if h := a.Header(); h != nil {
				t.Errorf("header %v", h)
			}
			a.Close(done)
			if n := w.asked.Load(); n != 0 {
				t.Errorf("the store was asked %d times", n)
			}
			w.wantUsed("a", 1, 15)
		})
}

func TestARequestLargerThanEveryLimitIsToldSo(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{TPM: 1000}, limit.Budget{ITPM: 500})}, func(t *testing.T, w *world) {
		ask := w.ask("ab")
		ask.Size.Text = 40000
		r := w.refused(ask)
		if r.Wait != 0 || r.Answer.Status != 429 || r.Answer.Header.Get("retry-after") != "" || r.Answer.Header.Get("x-should-retry") != "false" {
			t.Errorf("refusal %+v", r.Answer)
		}
		ask.Size = limit.Size{Text: 100, MaxOutput: 5000} // an empty minute is as good as it gets
		if _, err := w.Admit(t.Context(), ask); err != nil {
			t.Error(err)
		}
	})
}

func TestGroupsAndCallersHaveLimitsOfTheirOwn(t *testing.T) {
	o := limit.Options{
		Deployments: append(deployments(limit.Budget{}, limit.Budget{}), limit.Deployment{ID: "z", Group: "other"}),
		Groups:      map[string]limit.Budget{"g": {RPM: 2}},
		Caller:      limit.Budget{RPM: 2},
	}
	alone(t, o, func(t *testing.T, w *world) {
		w.admit("a")
		w.admit("b")
		w.refused(w.ask("ab"))
		if got := w.admit("abz").Chosen(); got != 2 {
			t.Errorf("candidate %d serves when the group is out, want the other group's", got)
		}
		as := func(caller string) *limit.Ask {
			ask := w.ask("z")
			ask.Caller = caller
			return ask
		}
		long := strings.Repeat("long", 50)
		for _, caller := range []string{"one", "one", "two", long, long} {
			if _, err := w.Admit(t.Context(), as(caller)); err != nil {
				t.Error(err)
			}
		}
		if r := w.refused(as("one")); !r.Everywhere || !strings.HasPrefix(r.Answer.Message, "your limit of requests") {
			t.Errorf("who has no room of its own is told %q", r.Answer.Message)
		}
		if r := w.refused(w.ask("ab")); r.Everywhere {
			t.Error("a full group is taken for the caller's limit")
		}
		w.refused(as(long))
		if _, err := w.Admit(t.Context(), as("two")); err != nil {
			t.Error(err)
		}
	})
}

func TestANameOfAWildcardMayHaveLimitsOfItsOwn(t *testing.T) {
	o := limit.Options{
		Deployments: []limit.Deployment{{ID: "a", Group: "up/*", Names: []string{"up/x"}, Budget: limit.Budget{RPM: 4}}},
		Groups:      map[string]limit.Budget{"up/*": {RPM: 2}, "up/x": {RPM: 1}},
	}
	alone(t, o, func(t *testing.T, w *world) {
		as := func(name string) *limit.Ask {
			ask := w.ask("")
			ask.Candidates = []string{w.Candidate("a", name)}
			return ask
		}
		for _, name := range []string{"up/x", "up/y", "up/z"} {
			if _, err := w.Admit(t.Context(), as(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.refused(as("up/x")) // its one
		w.refused(as("up/y")) // the two that all other names share
		if requests, _ := w.Used("a"); requests != 3 {
			t.Errorf("the deployment knows of %d requests, want all 3", requests)
		}
	})
}

func TestASlotIsHeldAsLongAsTheRequestRuns(t *testing.T) {
	alone(t, limit.Options{MaxParallel: 2}, func(t *testing.T, w *world) {
		first := w.admit("x")
		w.admit("x")
		time.Sleep(time.Hour)
		r := w.refused(w.ask("x"))
		if !r.NeedsSlot || r.Answer.Code != "too_many_parallel_requests" || r.Answer.Header.Get("retry-after") != "1" {
			t.Errorf("refusal %+v", r.Answer)
		}
		first.Close(done)
		w.admit("x")
	})
}

func TestALimiterTakesOverWhatItsPredecessorKnows(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{MaxParallel: 1})}, func(t *testing.T, w *world) {
		running := w.admit("a")
		next := limit.New(limit.Options{Store: w, Now: time.Now, Deployments: deployments(limit.Budget{MaxParallel: 1}), Previous: w.Limiter})
		defer next.Close()
		if n := next.Running("a"); n != 1 {
			t.Errorf("%d in flight", n)
		}
		if _, err := next.Admit(t.Context(), w.ask("a")); err == nil {
			t.Error("the slot of a running request was given away")
		}
		running.Close(done)
		if n := next.Running("a"); n != 0 {
			t.Errorf("%d in flight after the end", n)
		}
	})
}
