package routing

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func choiceIDs(all []Choice) []string {
	var out []string
	for _, c := range all {
		out = append(out, c.Deployment.ID)
	}
	return out
}

func TestAnyHealthyDeploymentMayServeTheFirstAttemptTheGroupsOwnFirst(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c", "m/cooling", "f/x", "f/y")
	w.numRetries = 1
	w.fallbacks["m"] = w.resolve("f")
	w.deployment("cooling").health.open(w.clock.Add(time.Minute), "500")
	for name, plan := range map[string]func(*Call) (*Plan, error){"a plan": w.Plan, "a fixed plan": w.PlanFixed} {
		t.Run(name, func(t *testing.T) {
			p, err := plan(call(t, "m"))
			if err != nil {
				t.Fatal(err)
			}
			choices := w.Choices(p, 0)
			if diff := cmp.Diff([]string{"a", "b", "c", "x", "y"}, choiceIDs(choices)); diff != "" {
				t.Errorf("choices (-want +got):\n%s", diff)
			}
			before := ids(p)
			if err := w.Take(p, 0, choices[0]); err != nil || cmp.Diff(before, ids(p)) != "" {
				t.Errorf("the plan's own first changes it to %v, %v", ids(p), err)
			}
		})
	}
}

func TestAHalfOpenDeploymentMayServeBehindTheHealthyOnesOfItsGroup(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c", "f/x")
	w.fallbacks["m"] = w.resolve("f")
	w.deployment("a").Order, w.deployment("b").Order = 2, 1
	w.deployment("b").health.open(w.clock.Add(time.Minute), "500")
	w.deployment("c").Order = 2
	old := w.Choices(w.plan(t, "m"), 0)
	w.clock = w.clock.Add(time.Minute)
	w.deployment("b").health.claim(w.clock, 0) // by another request
	p := w.plan(t, "m")
	if diff := cmp.Diff([]string{"a", "c", "x"}, choiceIDs(w.Choices(p, 0))); diff != "" {
		t.Errorf("while another request probes it (-want +got):\n%s", diff)
	}
	w.deployment("b").health.endProbe()
	choices := w.Choices(p, 0)
	if diff := cmp.Diff([]string{"a", "c", "b", "x"}, choiceIDs(choices)); diff != "" {
		t.Fatalf("after the probe (-want +got):\n%s", diff)
	}
	b := choices[2]
	if !w.Usable(b) {
		t.Error("it may not be taken")
	}
	if err := w.Take(p, 0, b); err != nil || p.Hops[0].Deployment.ID != "b" {
		t.Errorf("taken: %v, %v", ids(p), err)
	}
	if w.Usable(b) {
		t.Error("a second request may take it")
	}
	w.deployment("a").health.open(w.clock.Add(time.Minute), "500")
	if w.Usable(old[0]) {
		t.Error("one that cools down may be taken")
	}
	w.deployment("b").health.endProbe()
	if own := w.Choices(w.plan(t, "m"), 0)[0]; own.Deployment.ID != "b" || !w.Usable(own) {
		t.Error("the plan that keeps it may not take it")
	}
}

func TestAChoiceBeginsThePlan(t *testing.T) {
	for _, tc := range []struct {
		name, choice string
		fixed        bool
		want         []string
	}{
		{"one of the plan", "b", false, []string{"b", "x", "y"}},
		{"one that the plan has no attempt for", "c", false, []string{"c", "a", "x", "y"}},
		{"a fallback of the plan", "x", false, []string{"x", "y"}},
		{"one of a fixed plan", "b", true, []string{"b", "a", "x", "y"}},
		{"one that a fixed plan has no attempt for", "c", true, []string{"c", "a", "x", "y"}},
		{"a fallback of a fixed plan has an order of its own", "y", true, []string{"y", "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b", "m/c", "f/x", "f/y")
			w.numRetries = 1
			w.fallbacks["m"] = w.resolve("f")
			plan := w.Plan
			if tc.fixed {
				plan = w.PlanFixed
			}
			p, err := plan(call(t, "m"))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range w.Choices(p, 0) {
				if c.Deployment.ID == tc.choice {
					err = w.Take(p, 0, c)
				}
			}
			if diff := cmp.Diff(tc.want, ids(p)); diff != "" || err != nil {
				t.Errorf("hops (-want +got), %v:\n%s", err, diff)
			}
			if tc.fixed && p.Attempts != len(p.Hops) {
				t.Errorf("%d attempts of %d hops", p.Attempts, len(p.Hops))
			}
		})
	}
}

func TestAfterAFailureTheDeploymentsNotTriedYetMayServe(t *testing.T) {
	for _, tc := range []struct {
		choice string
		want   []string
	}{
		{"b", []string{"a", "b", "x", "y"}},
		{"c", []string{"a", "c", "x", "y"}},
		{"y", []string{"a", "y"}},
	} {
		w := newWorld(t, "m/a", "m/b", "m/c", "f/x", "f/y")
		w.numRetries = 1
		w.fallbacks["m"] = w.resolve("f")
		p, err := w.Plan(call(t, "m"))
		if err != nil {
			t.Fatal(err)
		}
		if !w.Failed(p, 1, Failure{Kind: upstream.KindOf(&upstream.Error{Status: 500})}).Retry {
			t.Fatal("nothing follows")
		}
		choices := w.Choices(p, 1)
		if diff := cmp.Diff([]string{"b", "c", "x", "y"}, choiceIDs(choices)); diff != "" {
			t.Errorf("choices (-want +got):\n%s", diff)
		}
		for _, c := range choices {
			if c.Deployment.ID == tc.choice {
				err = w.Take(p, 1, c)
			}
		}
		if diff := cmp.Diff(tc.want, ids(p)); diff != "" || err != nil {
			t.Errorf("hops (-want +got), %v:\n%s", err, diff)
		}
	}
}

// BenchmarkChoices is what finding all that may serve costs a request with limits.
func BenchmarkChoices(b *testing.B) {
	w := newWorld(b, "m/a", "m/b", "m/c", "f/x", "f/y")
	w.fallbacks["m"] = w.resolve("f")
	p, err := w.Plan(call(b, "m"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Choices(p, 0)
	}
}
