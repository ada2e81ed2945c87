package routing

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// The rows of LiteLLM's error table, with what we do better: 403 is not tried
// again on the deployment that said it, a 504 stays a 504, and our own timeout
// is one.
func TestEveryKindOfFailure(t *testing.T) {
	const contextText = `{"error":{"message":"This model's maximum context length is 8192 tokens",` +
		`"type":"invalid_request_error","param":null,"code":null}}`
	const policyText = `{"error":{"message":"Your request was rejected as a result of our safety system",` +
		`"type":"invalid_request_error","param":null,"code":"content_policy_violation"}}`
	type result struct {
		Alone  []string // attempts when the deployment is its group's only one, which is retried twice
		Two    []string // attempts in a group with b, with a fallback group
		State  string   // of a, after its first failure, in the group of two
		Status int      // to the client; 0: no answer came, Envoy's 503 or 504
	}
	again := []string{"a", "a", "a"}
	cascade := []string{"a", "b", "a", "f"} // the rest of the plan: both of the group, then the fallback
	passed := []string{"a", "b", "b", "f"}  // a will say the same again
	cooled := []string{"a", "b", "b", "f"}  // a rests
	stop := []string{"a"}
	for name, tc := range map[string]struct {
		status int
		body   string
		lost   bool
		want   result
	}{
		"400 bad request":                 {400, `{"error":{"message":"no"}}`, false, result{stop, stop, "healthy", 400}},
		"400 with context-length text":    {400, contextText, false, result{stop, stop, "healthy", 400}},
		"400 with content-policy text":    {400, policyText, false, result{stop, stop, "healthy", 400}},
		"401 the key does not work":       {401, "", false, result{stop, cooled, "cooling", 401}},
		"403 forbidden":                   {403, "", false, result{stop, cooled, "cooling", 403}},
		"404 no such model":               {404, "", false, result{stop, cooled, "cooling", 404}},
		"408 the provider timed out":      {408, "", false, result{again, cascade, "healthy", 408}},
		"409 conflict":                    {409, "", false, result{again, cascade, "healthy", 409}},
		"413 too large":                   {413, "", false, result{stop, stop, "healthy", 413}},
		"422 unprocessable":               {422, "", false, result{stop, stop, "healthy", 422}},
		"429 out of quota":                {429, "", false, result{again, cooled, "cooling", 429}},
		"500 internal error":              {500, "", false, result{again, cascade, "healthy", 500}},
		"502 bad gateway":                 {502, "", false, result{again, cascade, "healthy", 502}},
		"503 unavailable":                 {503, "", false, result{again, cascade, "healthy", 503}},
		"504 gateway timeout":             {504, "", false, result{again, cascade, "healthy", 504}},
		"529 overloaded":                  {529, "", false, result{again, cascade, "healthy", 529}},
		"402 no money left":               {402, "", false, result{stop, cooled, "cooling", 402}},
		"418 a status nobody expects":     {418, "", false, result{stop, passed, "healthy", 418}},
		"refused, reset or our own limit": {0, "", true, result{again, cascade, "healthy", 0}},
	} {
		t.Run(name, func(t *testing.T) {
			var e *upstream.Error
			if !tc.lost {
				e = upstream.ReadError(upstream.Head{Status: tc.status}, []byte(tc.body))
			}
			got := result{}
			if e != nil {
				got.Status = e.Status
			}
			fail := func(w *world) []string {
				p := w.plan(t, "m")
				w.Begin(&p.Hops[0])
				w.Done(&p.Hops[0], Outcome{Failed: true, Kind: upstream.KindOf(e), Status: tc.status, Total: time.Second})
				w.Failed(p, 1, Failure{Kind: upstream.KindOf(e)})
				return ids(p)
			}
			got.Alone = fail(newWorld(t, "m/a"))
			w := newWorld(t, "m/a", "m/b", "f/f")
			w.fallbacks["m"] = w.resolve("f")
			got.Two = fail(w)
			if n := len(got.Two); n > 4 {
				got.Two = got.Two[:4] // f's own retries
			}
			got.State = w.stateOf("a")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryPolicies(t *testing.T) {
	three, zero, endless := 3, 0, math.MaxInt
	for name, tc := range map[string]struct {
		policies policies
		request  *int // num_retries
		status   int
		want     int // attempts when all fail alike
	}{
		"without one the router's num_retries holds": {newPolicies(nil, nil), nil, 500, 3},
		"a class has its own retries":                {newPolicies(map[string]int{"InternalServer": 4}, nil), nil, 500, 5},
		"none is a number too":                       {newPolicies(map[string]int{"RateLimit": 0}, nil), nil, 429, 1},
		"a policy retries what is else final":        {newPolicies(map[string]int{"BadRequest": 1}, nil), nil, 400, 2},
		"other classes go by the default":            {newPolicies(map[string]int{"RateLimit": 0, "Default": 1}, nil), nil, 503, 2},
		"a group's policy comes before that of all": {newPolicies(map[string]int{"RateLimit": 0},
			map[string]map[string]int{"m": {"RateLimit": 1}}), nil, 429, 2},
		"the policy replaces what the request says":      {newPolicies(map[string]int{"InternalServer": 1}, nil), &three, 500, 2},
		"but a request that wants no retries gets none":  {newPolicies(map[string]int{"InternalServer": 4}, nil), &zero, 500, 1},
		"the request's number holds without a policy":    {newPolicies(nil, nil), &three, 500, 4},
		"a number without end has the bound of all":      {newPolicies(nil, nil), &endless, 500, maxAttempts},
		"a policy for another group says nothing":        {newPolicies(nil, map[string]map[string]int{"n": {"InternalServer": 9}}), nil, 500, 3},
		"a policy does not repeat a key that is refused": {newPolicies(map[string]int{"Authentication": 3}, nil), nil, 401, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "m/a")
			w.Router.policies = tc.policies
			c := call(t, "m")
			c.NumRetries = tc.request
			p, err := w.Plan(c)
			if err != nil {
				t.Fatal(err)
			}
			n := 1
			for w.Failed(p, n, Failure{Kind: upstream.KindOf(&upstream.Error{Status: tc.status})}).Retry {
				n++
			}
			if n != tc.want || n > p.Attempts {
				t.Errorf("%d attempts with a cap of %d, want %d", n, p.Attempts, tc.want)
			}
		})
	}
}

func TestTheFailingDeploymentsOwnRetriesCount(t *testing.T) {
	w := newWorld(t, "m/a")
	five := 5
	w.deployment("a").NumRetries = &five
	p := w.plan(t, "m")
	n := 1
	for w.Failed(p, n, Failure{Kind: upstream.KindOf(&upstream.Error{Status: 500})}).Retry {
		n++
	}
	if n != 6 {
		t.Errorf("%d attempts, want 6", n)
	}
}

func TestWhenNobodyIsHealthyTheRequestWaitsForTheFirst(t *testing.T) {
	limited := Failure{Kind: upstream.KindOf(&upstream.Error{Status: 429}), Asked: 4 * time.Second}
	run := func(w *world) (*Plan, Next) {
		p := w.plan(t, "m")
		for n := range 2 {
			id := p.Hops[n].Deployment.ID
			w.fail(id, 429, time.Duration(4+n)*time.Second)
			if next := w.Failed(p, n+1, limited); n == 1 {
				return p, next
			}
		}
		return nil, Next{}
	}
	w := newWorld(t, "m/a", "m/b")
	p, next := run(w)
	if want := (Next{Retry: true, Pause: 4 * time.Second}); next != want || ids(p)[2] != "a" {
		t.Errorf("next = %+v on %v, want %+v on a, which comes back first", next, ids(p), want)
	}
	if _, next := run(newWorldWith(t, func(w *world) { w.requestTimeout = 5 * time.Second }, "m/a", "m/b")); next.Retry {
		t.Errorf("next = %+v, though Envoy's pause may outlast the deadline", next)
	}
	w = newWorld(t, "m/a", "m/b", "f/f")
	w.fallbacks["m"] = w.resolve("f")
	if p, next := run(w); next != (Next{Retry: true}) || p.Hops[2].Deployment.ID != "f" {
		t.Errorf("next = %+v on %v, want f at once", next, ids(p))
	}
}

// newWorldWith is newWorld with a change.
func newWorldWith(t testing.TB, change func(*world), names ...string) *world {
	w := newWorld(t, names...)
	change(w)
	return w
}

func TestTheDeadlineEndsThePlan(t *testing.T) {
	w := newWorld(t, "m/a", "m/b")
	w.requestTimeout = 10 * time.Second
	c := call(t, "m")
	c.Received = w.clock.Add(-4 * time.Second) // it has waited in a queue
	p, err := w.Plan(c)
	if err != nil {
		t.Fatal(err)
	}
	if left := p.Deadline.Sub(w.clock); left != 6*time.Second {
		t.Errorf("%s left, want 6s", left)
	}
	w.clock = w.clock.Add(6 * time.Second)
	if w.Failed(p, 1, Failure{Kind: upstream.KindOf(&upstream.Error{Status: 500})}).Retry {
		t.Error("an attempt follows after the deadline")
	}
	if w.Lost(p, 1) {
		t.Error("Envoy may go on after the deadline")
	}
}

func TestRetriesKeepToTheirBudget(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "n/c")
	w.makeBudgets(0.2, 5)
	server := Failure{Kind: upstream.KindOf(&upstream.Error{Status: 500})}
	run := func(requests int) (retries int) {
		for range requests {
			if w.Failed(w.plan(t, "m"), 1, server).Retry {
				retries++
			}
		}
		return retries
	}
	if retried := run(100); retried < 5+19 || retried > 5+20 {
		t.Errorf("%d of 100 requests were retried within a second, want 5 and a fifth", retried)
	}
	if !w.Failed(w.plan(t, "n"), 1, server).Retry {
		t.Error("another group's budget is not its own")
	}
	w.clock = w.clock.Add(time.Second)
	if retried := run(5); retried != 5 {
		t.Errorf("%d of 5 were retried in the next second, want 5", retried)
	}
	w.clock = w.clock.Add(time.Minute)
	w.makeBudgets(0, 0)
	if run(10) != 0 {
		t.Error("a budget of nothing lets retries through")
	}
}

func TestGoingStraightToAFallbackIsNoRetry(t *testing.T) {
	w := newWorld(t, "m/a", "m/b", "f/f")
	w.makeBudgets(0, 0)
	w.fallbacks["m"] = w.resolve("f")
	w.fail("a", 429, 0)
	w.fail("b", 429, 0)
	if got := w.plan(t, "m").Hops[0].Deployment.ID; got != "f" {
		t.Errorf("the first attempt is on %s, want f", got)
	}
}

func TestMeterCountsTheLastMinuteOnly(t *testing.T) {
	var m meter
	start := time.Unix(1_700_000_000, 0)
	for second, want := range map[int]int64{0: 1, 59: 1, 60: 0} {
		m = meter{}
		m.add(start, Used{Requests: 1, Tokens: 7})
		if got := m.used(start.Add(time.Duration(second) * time.Second)); got.Requests != want || got.Tokens != 7*want {
			t.Errorf("after %d s: %+v, want %d requests", second, got, want)
		}
	}
	m = meter{}
	for s := range 300 {
		m.add(start.Add(time.Duration(s)*time.Second), Used{Requests: 1})
	}
	if got := m.used(start.Add(299 * time.Second)).Requests; got != 60 {
		t.Errorf("one a second for 5 minutes: %d in the last, want 60", got)
	}
	m.add(start, Used{Requests: 1}) // a clock that went back
	if got := m.used(start.Add(10 * time.Minute)).Requests; got != 0 {
		t.Errorf("10 minutes later: %d", got)
	}
}
