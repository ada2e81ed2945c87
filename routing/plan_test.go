package routing

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestPlanTriesEachDeploymentOnceBeforeAnyAgain(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	p, err := w.Plan(call(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "b", "a"}, ids(p)); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
	if p.Hops[1].Again || !p.Hops[2].Again || p.Attempts != 3 {
		t.Errorf("again = %v %v, attempts = %d; want false true 3", p.Hops[1].Again, p.Hops[2].Again, p.Attempts)
	}
}

func TestPlanKeepsToTheLowestOrderWhileItLasts(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c")
	w.deployment("b").Order, w.deployment("c").Order = 1, 2
	p, err := w.Plan(call(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "c", "a"}, ids(p)); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
}

func TestCascadeFollowsTheGroupWithItsRetries(t *testing.T) {
	w := newWorld(t, "m/a", "n/b")
	w.numRetries = 1
	w.fallbacks["m"] = w.resolve("n")
	p, err := w.Plan(call(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "a", "b", "b"}, ids(p)); diff != "" {
		t.Errorf("hops (-want +got):\n%s", diff)
	}
	if p.Hops[2].Fallback != 1 || p.Hops[2].Group != "n" {
		t.Errorf("hop 3 = fallback %d group %s, want 1 n", p.Hops[2].Fallback, p.Hops[2].Group)
	}
}

func TestFailureDecidesWhatFollows(t *testing.T) {
	for name, tc := range map[string]struct {
		verdict Verdict
		want    []string
	}{
		"a failure that may pass goes on with the plan":            {RetryAny, []string{"a", "b", "a", "f", "f", "f"}},
		"a deployment that will say the same again is left out":    {RetryOther, []string{"a", "b", "b", "f", "f", "f"}},
		"the client's own error ends the plan":                     {Stop, []string{"a"}},
		"a full context goes to its own fallbacks at once":         {ContextWindow, []string{"a", "big", "big", "big"}},
		"a content-policy failure without fallbacks ends the plan": {ContentPolicy, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b", "f/f", "large/big")
			w.fallbacks["m"] = w.resolve("f")
			w.contextWindow = map[string][]string{"m": {"large"}}
			p, err := w.Plan(call(t, "m"))
			if err != nil {
				t.Fatal(err)
			}
			more := w.Failed(p, 1, tc.verdict)
			if diff := cmp.Diff(tc.want, ids(p)); diff != "" {
				t.Errorf("hops (-want +got):\n%s", diff)
			}
			if more != (len(tc.want) > 1) {
				t.Errorf("more = %v", more)
			}
		})
	}
}

func TestCoolingDeploymentsArePassedOverAndOneProbeComesBack(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	a := Hop{Deployment: w.deployment("a")}
	w.Report(&a, Failure{Status: 429, RetryAfter: 5 * time.Second, Reason: "429"})
	p, err := w.Plan(call(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b", "b", "b"}, ids(p)); diff != "" {
		t.Errorf("while a cools (-want +got):\n%s", diff)
	}
	w.clock = w.clock.Add(5 * time.Second)
	if p, _ = w.Plan(call(t, "m")); p.Hops[0].Deployment.ID != "a" {
		t.Fatalf("after the cooldown the first choice is %s, want the probe of a", p.Hops[0].Deployment.ID)
	}
	if p, _ = w.Plan(call(t, "m")); p.Hops[0].Deployment.ID != "b" {
		t.Errorf("while the probe runs the first choice is %s, want b", p.Hops[0].Deployment.ID)
	}
	w.Report(&a, Failure{Status: 500, Reason: "500"})
	if !w.Health(a.Deployment).Cooling {
		t.Error("a failed probe did not cool the deployment again")
	}
	w.clock = w.clock.Add(10 * time.Second)
	w.Answered(&a)
	if h := w.Health(a.Deployment); h.Cooling || h.Fails != 0 {
		t.Errorf("after a good answer health = %+v", h)
	}
}

func TestTheNthFailureWithinTheWindowCools(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	a := Hop{Deployment: w.deployment("a")}
	for i, gap := range []time.Duration{0, 50 * time.Second, 20 * time.Second} {
		w.clock = w.clock.Add(gap)
		w.Report(&a, Failure{Status: 500, Reason: "500"})
		if w.Health(a.Deployment).Cooling {
			t.Fatalf("failure %d cooled although the first is out of the window", i+1)
		}
	}
	w.Report(&a, Failure{Status: 0, Reason: "reset"})
	if !w.Health(a.Deployment).Cooling {
		t.Error("the third failure within the window did not cool")
	}
}

func TestALoneDeploymentIsNeverCooled(t *testing.T) {
	w := newWorld(t, "m/a")
	a := Hop{Deployment: w.deployment("a")}
	for range 5 {
		w.Report(&a, Failure{Status: 429, Reason: "429"})
	}
	if _, err := w.Plan(call(t, "m")); err != nil {
		t.Errorf("Plan = %v, want the lone deployment", err)
	}
}

func TestWhenAllCoolTheClientLearnsWhenToComeBack(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	for i, id := range []string{"a", "b"} {
		h := Hop{Deployment: w.deployment(id)}
		w.Report(&h, Failure{Status: 429, RetryAfter: time.Duration(7+i) * time.Second, Reason: "429"})
	}
	_, err := w.Plan(call(t, "m"))
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 503 || e.Header.Get("retry-after") != "7" {
		t.Errorf("Plan = %v with %v, want 503 with retry-after 7", err, e)
	}
}

func TestUnknownModelIs404(t *testing.T) {
	_, err := newWorld(t, "m/a").Plan(call(t, "nope"))
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != 404 || e.Code != "model_not_found" {
		t.Errorf("Plan = %v, want 404 model_not_found", err)
	}
}

func TestWildcardsMatchTheWholeNameAndFillTheProvidersModel(t *testing.T) {
	w := newWorld(t, "openai/*/all", "openai/gpt-4*/four", "exact/x")
	w.deployment("all").Model, w.deployment("four").Model = "*", "gpt-4*-eu"
	for asked, want := range map[string][2]string{
		"openai/o3":         {"all", "o3"},
		"openai/gpt-4o":     {"four", "gpt-4o-eu"},
		"openai/meta/llama": {"all", "meta/llama"},
	} {
		p, err := w.Plan(call(t, asked))
		if err != nil {
			t.Errorf("%s: %v", asked, err)
			continue
		}
		if got := [2]string{p.Hops[0].Deployment.ID, p.Hops[0].Model}; got != want {
			t.Errorf("%s: served by %v, want %v", asked, got, want)
		}
	}
	if w.Has("my-openai/o3") {
		t.Error("a wildcard matched in the middle of a name")
	}
}

func TestFixedOrdersAreWhatPlanFixedFollows(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "n/c")
	w.numRetries = 1
	w.aliases["prime"] = append(w.resolve("m"), w.resolve("n")...)
	w.models = append(w.models, "prime")
	orders := map[string][]string{}
	for _, o := range w.Orders() {
		orders[o.Name] = o.Clusters
	}
	p, err := w.PlanFixed(call(t, "prime"))
	if err != nil {
		t.Fatal(err)
	}
	var clusters []string
	for _, h := range p.Hops {
		clusters = append(clusters, h.Deployment.Cluster)
	}
	if diff := cmp.Diff(orders[OrderName(p.Name, p.Hops[0].Deployment.Cluster)], clusters); diff != "" {
		t.Errorf("the plan is not its order (-order +plan):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"c-a", "c-b", "c-c", "c-c"}, clusters); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
}

func TestShuffleFollowsTheWeights(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "m/c")
	w.deployment("a").Weight, w.deployment("b").Weight, w.deployment("c").Weight = 5, 3, 2
	count := map[string]int{}
	for i := range 1000 {
		w.dice = (float64(i) + .5) / 1000
		group := w.groups["m"]
		count[group[w.strategy.Pick(group)].ID]++
	}
	if diff := cmp.Diff(map[string]int{"a": 500, "b": 300, "c": 200}, count); diff != "" {
		t.Errorf("choices over an even spread of dice (-want +got):\n%s", diff)
	}
}

func TestADeploymentWithoutAWeightGetsTheMean(t *testing.T) {
	group := []*Deployment{{Weight: 500}, {Weight: 300}, {}}
	fillWeights(group)
	if group[2].Weight != 400 {
		t.Errorf("weight = %v, want 400", group[2].Weight)
	}
}

func TestRetryAfterReadsWhatProvidersSend(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		header upstream.Header
		want   time.Duration
	}{
		"milliseconds win":     {upstream.Header{{Name: "retry-after", Value: "2"}, {Name: "retry-after-ms", Value: "1800"}}, 1800 * time.Millisecond},
		"seconds":              {upstream.Header{{Name: "retry-after", Value: "7"}}, 7 * time.Second},
		"a fraction":           {upstream.Header{{Name: "retry-after", Value: "0.5"}}, 500 * time.Millisecond},
		"a date":               {upstream.Header{{Name: "retry-after", Value: "Mon, 23 Nov 2026 10:00:09 GMT"}}, 9 * time.Second},
		"a date in the past":   {upstream.Header{{Name: "retry-after", Value: "Mon, 23 Nov 2026 09:00:00 GMT"}}, 0},
		"the exhausted quota":  {upstream.Header{{Name: "x-ratelimit-remaining-requests", Value: "0"}, {Name: "x-ratelimit-reset-requests", Value: "1m2s"}, {Name: "x-ratelimit-remaining-tokens", Value: "9"}, {Name: "x-ratelimit-reset-tokens", Value: "5m"}}, 62 * time.Second},
		"nothing":              {nil, 0},
		"something unreadable": {upstream.Header{{Name: "retry-after", Value: "soon"}}, 0},
	} {
		if got := RetryAfter(tc.header, now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestBackoffOnlyBeforeTheSameDeploymentAgain(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.retryAfter, w.dice = 5*time.Second, 0
	p, err := w.Plan(call(t, "m"))
	if err != nil {
		t.Fatal(err)
	}
	if got := w.Backoff(p, 1, nil, w.clock); got != 0 {
		t.Errorf("before another deployment: %v, want none", got)
	}
	if got := w.Backoff(p, 2, nil, w.clock); got != 5*time.Second {
		t.Errorf("before the same again: %v, want retry_after", got)
	}
	asked := upstream.Header{{Name: "retry-after-ms", Value: "1800"}}
	if got := w.Backoff(p, 2, asked, w.clock); got != 2*time.Second {
		t.Errorf("the provider asked for 1.8 s: %v, want 2s", got)
	}
	if got := w.Backoff(p, 3, nil, w.clock); got != 0 {
		t.Errorf("after the last attempt: %v, want none", got)
	}
}
