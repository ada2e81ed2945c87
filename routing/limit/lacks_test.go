package limit_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/limit"
)

func TestARefusalNamesTheLimitsThatLeaveNoSlot(t *testing.T) {
	one := limit.Budget{MaxParallel: 1}
	group := map[string]limit.Budget{"g": one}
	for name, tc := range map[string]struct {
		options    limit.Options
		candidates string
		want       []string
	}{
		"a deployment's":           {limit.Options{Deployments: deployments(one)}, "a", []string{"deployment/a"}},
		"those of all candidates":  {limit.Options{Deployments: deployments(one, one)}, "ab", []string{"deployment/a", "deployment/b"}},
		"only those of candidates": {limit.Options{Deployments: deployments(one, one)}, "b", []string{"deployment/b"}},
		"a group's, once": {limit.Options{
			Deployments: deployments(limit.Budget{}, limit.Budget{}), Groups: group}, "ab", []string{"model/g"}},
		"a deployment's and its group's": {limit.Options{
			Deployments: deployments(one), Groups: group}, "a", []string{"deployment/a", "model/g"}},
		"the caller's own, without its name": {limit.Options{Caller: one}, "x", []string{"tenant"}},
		"that of all models":                 {limit.Options{MaxParallel: 1}, "x", []string{"gateway"}},
		"that of all models before others": {limit.Options{
			MaxParallel: 1, Deployments: deployments(one)}, "a", []string{"gateway"}},
		"no more than eight": {limit.Options{
			Deployments: deployments(one, one, one, one, one, one, one, one, one)}, "abcdefghi",
			[]string{"deployment/a", "deployment/b", "deployment/c", "deployment/d", "deployment/e", "deployment/f", "deployment/g",
				"deployment/h"}},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, tc.options, func(t *testing.T, w *world) {
				ask := func(candidates string) *limit.Ask {
					a := w.ask(candidates)
					a.Caller = "sk-secret"
					return a
				}
				for _, candidate := range tc.candidates { // all are busy
					_, _ = w.Admit(t.Context(), ask(string(candidate)))
				}
				if diff := cmp.Diff(tc.want, w.refused(ask(tc.candidates)).Lacks()); diff != "" {
					t.Errorf("lacks (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("none where a minute is full", func(t *testing.T) {
		alone(t, limit.Options{Deployments: deployments(limit.Budget{RPM: 1, MaxParallel: 1})}, func(t *testing.T, w *world) {
			w.admit("a")
			if r := w.refused(w.ask("a")); r.NeedsSlot || r.Lacks() != nil {
				t.Errorf("%+v", r)
			}
		})
	})
}

// queued puts a request into the queue and lets it get there.
func (w *world) queued(ctx context.Context, ask *limit.Ask, deadline time.Time) <-chan waited {
	out := make(chan waited, 1)
	go func() {
		a, waitedFor, err := w.AdmitQueued(ctx, ask, limit.Ticket{Deadline: deadline})
		out <- waited{a, waitedFor, err}
	}()
	synctest.Wait()
	return out
}

// waited is what AdmitQueued has returned.
type waited struct {
	admission *limit.Admission
	waitedFor []string
	err       error
}

func (w waited) want(t *testing.T, waitedFor ...string) {
	t.Helper()
	if diff := cmp.Diff(waitedFor, w.waitedFor); diff != "" {
		t.Errorf("waited for (-want +got):\n%s", diff)
	}
}

func TestWhoLeavesTheQueueIsToldWhatItWaitedFor(t *testing.T) {
	o := limit.Options{Deployments: deployments(limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1}), Queue: &limit.QueueOptions{}}
	alone(t, o, func(t *testing.T, w *world) {
		a, b := w.admit("a"), w.admit("b")
		ctx, leave := context.WithCancel(t.Context())
		first := w.queued(t.Context(), w.ask("ab"), time.Time{})
		behind := w.queued(t.Context(), w.ask("ab"), time.Now().Add(time.Second))
		gone := w.queued(ctx, w.ask("ab"), time.Time{})
		leave()
		got := <-gone
		got.want(t, "deployment/a", "deployment/b")
		if !errors.Is(got.err, context.Canceled) {
			t.Errorf("one that left: %v", got.err)
		}
		got = <-behind
		got.want(t, "deployment/a", "deployment/b")
		if r := (*limit.Refused)(nil); !errors.As(got.err, &r) || r.Answer.Code != "too_many_parallel_requests" {
			t.Errorf("one whose time was up: %v", got.err)
		}
		b.Close(done)
		got = <-first
		got.want(t, "deployment/a", "deployment/b")
		if got.err != nil || got.admission.Chosen() != 1 {
			t.Errorf("the first: %v", got.err)
		}
		a.Close(done)
		got.admission.Close(done)
	})
}

func TestARequestThatMayNotOvertakeIsToldWhatThoseBeforeItWaitFor(t *testing.T) {
	o := limit.Options{MaxParallel: 1, Queue: &limit.QueueOptions{Size: 1}}
	alone(t, o, func(t *testing.T, w *world) {
		running := w.admit("x")
		first := w.queued(t.Context(), w.ask("x"), time.Time{})
		if r := w.refused(w.ask("x")); !r.NeedsSlot || fmt.Sprint(r.Lacks()) != "[gateway]" {
			t.Errorf("%+v", r)
		}
		got := <-w.queued(t.Context(), w.ask("x"), time.Time{})
		got.want(t, "gateway")
		if got.err == nil {
			t.Error("a second one got into the queue of one")
		}
		running.Close(done)
		(<-first).admission.Close(done)
		got = <-w.queued(t.Context(), w.ask("x"), time.Time{})
		if got.want(t); got.err != nil {
			t.Errorf("one that finds a free slot: %v", got.err)
		}
	})
}

func TestARefusalOfWhatIsTooLargeNamesTheLimits(t *testing.T) {
	options := limit.Options{
		Deployments: deployments(limit.Budget{TPM: 10}, limit.Budget{RPM: 5}), Groups: map[string]limit.Budget{"g": {ITPM: 20}},
	}
	alone(t, options, func(t *testing.T, w *world) {
		ask := w.ask("ab")
		ask.Size = limit.Size{Text: 4000}
		want := []limit.Reached{
			{Of: "deployment/a", Setting: "tpm", Value: 10}, {Of: "model/g", Setting: "itpm", Value: 20},
		}
		r := w.refused(ask)
		if diff := cmp.Diff(want, r.Limits); diff != "" || r.Wait != 0 {
			t.Errorf("wait %v, limits (-want +got):\n%s", r.Wait, diff)
		}
		if !strings.Contains(r.Error(), "(tpm 10 of deployment/a, itpm 20 of model/g)") {
			t.Error(r)
		}
	})
}

func TestTheLimitsThatADeploymentHasReachedAreNamed(t *testing.T) {
	options := limit.Options{Deployments: deployments(limit.Budget{RPM: 1}, limit.Budget{RPM: 5}, limit.Budget{})}
	alone(t, options, func(t *testing.T, w *world) {
		w.admit("a")
		w.admit("b")
		w.refused(w.ask("a"))
		want := []limit.Reached{{Of: "deployment/a", Setting: "rpm", Value: 1}}
		if diff := cmp.Diff(want, w.Reached([]string{"a", "b", "c", "gone"}, 1)); diff != "" {
			t.Errorf("limits (-want +got):\n%s", diff)
		}
	})
}
