package limit_test

import (
	"errors"
	"math"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/limit"
)

func TestTokensAreSettledWithWhatWasUsed(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{TPM: 1000, OTPM: 900})}, func(t *testing.T, w *world) {
		ask := w.ask("a")
		ask.Size = limit.Size{Text: 400, MaxOutput: 800}
		a, err := w.Admit(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		w.wantUsed("a", 1, 8+100+800)
		small := w.ask("a")
		small.Size = limit.Size{MaxOutput: 100}
		w.refused(small)
		a.Close(limit.Outcome{Reached: true, Known: true, Prompt: 90, Completion: 10})
		w.wantUsed("a", 1, 100)
		if _, err := w.Admit(t.Context(), small); err != nil {
			t.Error(err)
		}
	})
}

// TestNoNumberOpensAFullWindow: clients and providers may say any count of tokens,
// and sums of them must not overflow.
func TestNoNumberOpensAFullWindow(t *testing.T) {
	for name, tc := range map[string]struct {
		size limit.Size
		used limit.Outcome
	}{
		"a client that wants all tokens there are": {limit.Size{MaxOutput: math.MaxInt64},
			limit.Outcome{Reached: true, Known: true, Prompt: 1000}},
		"a client that sends more than can be": {limit.Size{Text: math.MaxInt64 / 2},
			limit.Outcome{Reached: true, Known: true, Prompt: 1000}},
		"a provider that counts all tokens there are": {limit.Size{},
			limit.Outcome{Reached: true, Known: true, Prompt: math.MaxInt64, Completion: math.MaxInt64}},
		"a provider that counts none, and fewer": {limit.Size{},
			limit.Outcome{Reached: true, Known: true, Prompt: 1000, Completion: math.MinInt64}},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, limit.Options{Deployments: deployments(limit.Budget{TPM: 1000})}, func(t *testing.T, w *world) {
				w.admit("a").Close(tc.used)
				for range 3 {
					ask := w.ask("a")
					ask.Size = tc.size
					if a, err := w.Admit(t.Context(), ask); err == nil {
						a.Close(tc.used)
						t.Error("admitted to a window that is full")
					}
				}
			})
		})
	}
}

func TestWhatNeverReachedTheProviderIsGivenBack(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 1, TPM: 1000}), Caller: limit.Budget{RPM: 1}},
		func(t *testing.T, w *world) {
			for range 3 {
				ask := w.ask("a")
				ask.Caller = "tenant"
				a, err := w.Admit(t.Context(), ask)
				if err != nil {
					t.Fatal(err)
				}
				a.Close(limit.Outcome{})
				a.Close(limit.Outcome{Reached: true}) // only the first counts
			}
			w.wantUsed("a", 0, 0)
		})
}

func TestAnUnknownUsageLetsTheEstimateStand(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 5, TPM: 1000})}, func(t *testing.T, w *world) {
		w.admit("a").Close(limit.Outcome{Reached: true})
		w.wantUsed("a", 1, 8+512)
	})
}

func TestNextTradesOneDeploymentForAnother(t *testing.T) {
	o := limit.Options{Deployments: deployments(limit.Budget{RPM: 1, MaxParallel: 1}, limit.Budget{RPM: 1}), MaxParallel: 1,
		Caller: limit.Budget{RPM: 1}}
	alone(t, o, func(t *testing.T, w *world) {
		ask := w.ask("ab")
		ask.Caller = "tenant"
		a, err := w.Admit(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Next(t.Context(), []string{"b"}, limit.Outcome{Reached: true, Known: true}); got != 0 || err != nil {
			t.Fatal(got, err)
		}
		if w.Running("a") != 0 || w.Running("b") != 1 {
			t.Errorf("in flight: %d on a, %d on b", w.Running("a"), w.Running("b"))
		}
		// b was never reached: it can be asked again, a cannot.
		if got, err := a.Next(t.Context(), []string{"a", "b"}, limit.Outcome{}); got != 1 || err != nil {
			t.Fatal(got, err)
		}
		if r := w.refused(w.ask("z")); !r.NeedsSlot {
			t.Error("the global slot was given back between attempts")
		}
		_, err = a.Next(t.Context(), []string{"a"}, limit.Outcome{Reached: true, Known: true, Prompt: 3})
		if refused := (*limit.Refused)(nil); !errors.As(err, &refused) || a.Chosen() != -1 {
			t.Fatal(err)
		}
		a.Close(limit.Outcome{})
		w.admit("z").Close(done) // the slot is free
		w.wantUsed("a", 1, 0)
		w.wantUsed("b", 1, 3)
		again := w.ask("z")
		again.Caller = "tenant"
		w.refused(again) // attempts reached a provider: the caller's request counts
		if _, err := a.Next(t.Context(), []string{"z"}, limit.Outcome{}); err == nil {
			t.Error("a closed request got another attempt")
		}
	})
}

func TestARequestThatEndsWhileItAsksForTheNextAttemptHoldsNothing(t *testing.T) {
	alone(t, limit.Options{Deployments: deployments(limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1, RPM: 1})},
		func(t *testing.T, w *world) {
			a := w.admit("a")
			w.during = func() { a.Close(limit.Outcome{}) }
			if got, err := a.Next(t.Context(), []string{"b"}, limit.Outcome{}); err == nil {
				t.Errorf("candidate %d for a request that has ended", got)
			}
			w.during = nil
			w.admit("a")
			w.admit("b")
			if w.Running("a") != 1 || w.Running("b") != 1 {
				t.Errorf("in flight: %d and %d", w.Running("a"), w.Running("b"))
			}
		})
}
