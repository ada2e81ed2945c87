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
	failed := func(status int, code string) Failure {
		return Failure{Kind: upstream.KindOf(&upstream.Error{Status: status, Code: code})}
	}
	for name, tc := range map[string]struct {
		failure Failure
		want    []string
	}{
		"a failure that may pass goes on with the plan":            {failed(500, ""), []string{"a", "b", "a", "f", "f", "f"}},
		"a deployment that will say the same again is left out":    {failed(401, ""), []string{"a", "b", "b", "f", "f", "f"}},
		"the client's own error ends the plan":                     {failed(400, ""), []string{"a"}},
		"a full context goes to its own fallbacks at once":         {failed(400, upstream.CodeContextLength), []string{"a", "big", "big", "big"}},
		"a content-policy failure without fallbacks ends the plan": {failed(400, upstream.CodeContentFilter), []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b", "f/f", "large/big")
			w.fallbacks["m"] = w.resolve("f")
			w.contextWindow = map[string][]string{"m": {"large"}}
			p, err := w.Plan(call(t, "m"))
			if err != nil {
				t.Fatal(err)
			}
			more := w.Failed(p, 1, tc.failure).Retry
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
	w.fail("a", 429, 5*time.Second)
	if diff := cmp.Diff([]string{"b", "b", "b"}, ids(w.plan(t, "m"))); diff != "" {
		t.Errorf("while a cools (-want +got):\n%s", diff)
	}
	w.clock = w.clock.Add(5 * time.Second)
	if diff := cmp.Diff([]string{"a", "b", "b"}, ids(w.plan(t, "m"))); diff != "" {
		t.Fatalf("after the cooldown one request probes a (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"b", "b", "b"}, ids(w.plan(t, "m"))); diff != "" {
		t.Errorf("while the probe runs (-want +got):\n%s", diff)
	}
	w.fail("a", 500, 0)
	if w.stateOf("a") != "cooling" {
		t.Error("a failed probe did not cool the deployment again")
	}
	w.clock = w.clock.Add(10 * time.Second)
	w.Answered(w.hop("a"), time.Second)
	if w.stateOf("a") != "healthy" {
		t.Errorf("after a good answer a is %s", w.stateOf("a"))
	}
}

func TestAProbeThatNeverBeginsGivesWayToTheNext(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.fail("a", 429, 5*time.Second)
	w.clock = w.clock.Add(5 * time.Second)
	w.plan(t, "m") // its attempt is never made
	w.clock = w.clock.Add(claimTime)
	if got := w.plan(t, "m").Hops[0].Deployment.ID; got != "a" {
		t.Errorf("the first choice is %s, want the probe of a", got)
	}
}

func TestWhenADeploymentCools(t *testing.T) {
	type failure struct {
		after  time.Duration
		status int // 200: a good answer
	}
	for name, tc := range map[string]struct {
		happened []failure
		want     string
	}{
		"the third failure within the window cools": {[]failure{{0, 500}, {30 * time.Second, 500}, {29 * time.Second, 0}}, "cooling"},
		"two failures do not":                       {[]failure{{0, 500}, {0, 500}}, "healthy"},
		"a failure out of the window no longer counts": {[]failure{{0, 500}, {50 * time.Second, 500}, {20 * time.Second, 500}},
			"healthy"},
		"a quota cools at once":                                 {[]failure{{0, 429}}, "cooling"},
		"a key that does not work cools at once":                {[]failure{{0, 401}}, "cooling"},
		"a forbidden one too":                                   {[]failure{{0, 403}}, "cooling"},
		"a model that is not there too":                         {[]failure{{0, 404}}, "cooling"},
		"the client's own errors never cool":                    {[]failure{{0, 400}, {0, 422}, {0, 413}, {0, 400}}, "healthy"},
		"failures among good answers cool when they are many":   {[]failure{{0, 500}, {0, 200}, {0, 500}, {0, 200}, {0, 500}}, "cooling"},
		"an answer to an earlier request ends no cooldown":      {[]failure{{0, 429}, {0, 200}}, "cooling"},
		"an answer after the cooldown ends it":                  {[]failure{{0, 429}, {10 * time.Second, 200}}, "healthy"},
		"nobody has probed it yet when its time is up":          {[]failure{{0, 429}, {10 * time.Second, 400}}, "probing"},
		"a request timeout of the provider counts as a failure": {[]failure{{0, 408}, {0, 408}, {0, 408}}, "cooling"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b")
			for _, f := range tc.happened {
				w.clock = w.clock.Add(f.after)
				if f.status != 200 {
					w.fail("a", f.status, 0)
					continue
				}
				w.Begin(w.hop("a"))
				w.Answered(w.hop("a"), time.Second)
				w.Done(w.hop("a"), Outcome{Status: 200})
			}
			if got := w.stateOf("a"); got != tc.want {
				t.Errorf("a is %s, want %s", got, tc.want)
			}
		})
	}
}

func TestFewFailuresAmongManyAnswersDoNotCool(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	for i := range 200 {
		if i%40 == 0 {
			w.fail("a", 500, 0)
			continue
		}
		w.Begin(w.hop("a"))
		w.Answered(w.hop("a"), time.Second)
		w.Done(w.hop("a"), Outcome{Status: 200})
	}
	if got := w.stateOf("a"); got != "healthy" {
		t.Errorf("5 failures among 200 answers: %s, want healthy", got)
	}
	for range 3 {
		w.fail("a", 500, 0)
	}
	if got := w.stateOf("a"); got != "cooling" {
		t.Errorf("3 failures in a row: %s, want cooling", got)
	}
}

func TestADeploymentsOwnSettingsCoolIt(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	one, long := 1, time.Hour
	w.deployment("a").allowedFails, w.deployment("a").cooldown = &one, &long
	w.fail("a", 500, 0)
	if s := w.State(w.deployment("a")); s.Health != "cooling" || s.Until.Sub(w.clock) != time.Hour || s.Cause != "scripted" {
		t.Errorf("state = %+v", s)
	}
	never := time.Duration(0)
	w.deployment("b").cooldown = &never
	w.fail("b", 429, time.Minute)
	if w.stateOf("b") != "healthy" {
		t.Error("a deployment with cooldown_time 0 cooled")
	}
}

func TestFailuresThatAreNotTheDeploymentsDoNotCount(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	for range 5 {
		renamed := w.hop("a")
		renamed.Model = "made-up"
		w.Begin(renamed)
		w.Done(renamed, Outcome{Failed: true, Kind: upstream.KindModelNotFound, Status: 404})
		clientTimeout := w.hop("a")
		clientTimeout.clientTimeout = true
		w.Begin(clientTimeout)
		w.Done(clientTimeout, Outcome{Failed: true, Kind: upstream.KindTimeout})
		w.Begin(w.hop("a"))
		w.Done(w.hop("a"), Outcome{}) // the client left
	}
	if got := w.stateOf("a"); got != "healthy" {
		t.Errorf("a is %s", got)
	}
	if n := w.deployment("a").InFlight(); n != 0 {
		t.Errorf("in flight: %d", n)
	}
}

func TestALoneDeploymentIsNeverCooled(t *testing.T) {
	w := newWorld(t, "m/a")
	for range 5 {
		w.fail("a", 429, 0)
	}
	if _, err := w.Plan(call(t, "m")); err != nil {
		t.Errorf("Plan = %v, want the lone deployment", err)
	}
}

func TestWhenAllCoolTheClientLearnsWhenToComeBack(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.fail("a", 429, 8*time.Second)
	w.fail("b", 429, 7*time.Second)
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
	w.remodel(t, "all", "*")
	w.remodel(t, "four", "gpt-4*-eu")
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
	if diff := cmp.Diff([]string{"deployment/a/a.test:80", "deployment/b/b.test:80", "deployment/c/c.test:80", "deployment/c/c.test:80"},
		clusters); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
}

func TestPausesComeBeforeTheSameDeploymentOnly(t *testing.T) {
	refused := &upstream.Error{Status: 500}
	for name, tc := range map[string]struct {
		after    int // attempts made
		asked    time.Duration
		deadline time.Duration // left; 0: none
		want     Next
	}{
		"none before another deployment":                   {1, 0, 0, Next{Retry: true}},
		"retry_after before the same again":                {2, 0, 0, Next{Retry: true, Pause: 5 * time.Second}},
		"what the provider asks, in whole seconds":         {2, 1800 * time.Millisecond, 0, Next{Retry: true, Pause: 2 * time.Second}},
		"none after the last attempt":                      {3, 0, 0, Next{}},
		"no try when the deadline does not allow the wait": {2, 0, 7 * time.Second, Next{}},
		"a try when the deadline does":                     {2, 0, 8 * time.Second, Next{Retry: true, Pause: 5 * time.Second}},
		"no try when the provider asks for too much":       {2, 2 * time.Minute, 0, Next{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a", "m/b")
			w.retryAfter = 5 * time.Second
			p := w.plan(t, "m")
			if tc.deadline > 0 {
				p.Deadline = w.clock.Add(tc.deadline)
			}
			if got := w.Failed(p, tc.after, Failure{Kind: upstream.KindOf(refused), Asked: tc.asked}); got != tc.want {
				t.Errorf("next = %+v, want %+v", got, tc.want)
			}
		})
	}
}

// TestAFixedOrderWaitsAsAnyPlanDoes: Envoy cannot be told to skip an attempt, so that
// a wait that is too long leaves it out by not waiting for it.
func TestAFixedOrderWaitsAsAnyPlanDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		sisters  []string // model/id; n is the fallback of m
		after    int      // attempts made
		status   int
		asked    time.Duration
		deadline time.Duration // left; 0: none
		want     Next
	}{
		"none before another deployment": {[]string{"m/a", "m/b"}, 1, 429, 2 * time.Second, 0, Next{Retry: true}},
		"before the same one, what it asks": {[]string{"m/a"}, 1, 429, 1800 * time.Millisecond, 0,
			Next{Retry: true, Pause: 2 * time.Second}},
		"before the same one, retry_after":         {[]string{"m/a"}, 1, 500, 0, 0, Next{Retry: true, Pause: 5 * time.Second}},
		"after a round, too":                       {[]string{"m/a", "m/b"}, 2, 500, 0, 0, Next{Retry: true, Pause: 5 * time.Second}},
		"no try when the deadline forbids it":      {[]string{"m/a"}, 1, 429, 9 * time.Second, 7 * time.Second, Next{}},
		"no try when it asks for too much":         {[]string{"m/a"}, 1, 429, 2 * time.Minute, 0, Next{}},
		"no wait when it does and others follow":   {[]string{"m/a", "n/b"}, 1, 429, 2 * time.Minute, 0, Next{Retry: true}},
		"none after the last attempt of the order": {[]string{"m/a"}, 3, 500, 0, 0, Next{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tc.sisters...)
			w.retryAfter = 5 * time.Second
			w.fallbacks["m"] = w.resolve("n")
			p, err := w.PlanFixed(call(t, "m"))
			if err != nil {
				t.Fatal(err)
			}
			if tc.deadline > 0 {
				p.Deadline = w.clock.Add(tc.deadline)
			}
			if got := w.Failed(p, tc.after, Failure{Kind: upstream.KindOf(&upstream.Error{Status: tc.status}), Asked: tc.asked}); got != tc.want {
				t.Errorf("next = %+v, want %+v", got, tc.want)
			}
		})
	}
}
