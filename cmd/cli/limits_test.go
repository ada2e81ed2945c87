package cli

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// priced answers like OpenAI, with these token counts and a provider's own word on
// its limits.
func priced(prompt, completion int) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Limit-Requests", "9999")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "7777")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
			prompt, completion, prompt+completion)
	}
}

// expectRefusal checks the 429 of a limit of ours.
func expectRefusal(t *testing.T, a *answer, code string) {
	t.Helper()
	kind, got, _, _ := errorOf(t, a)
	wait, err := strconv.Atoi(a.header.Get("Retry-After"))
	if a.status != 429 || kind != "rate_limit_error" || got != code || err != nil || wait < 1 || wait > 61 {
		t.Errorf("%d, %s %s, Retry-After %q", a.status, kind, got, a.header.Get("Retry-After"))
	}
}

// A limitedFleet is two replicas that share their limits, and the providers of its
// model groups, one for each kind of limit.
type limitedFleet struct {
	*fleet
	a, b                                *stack // the replicas
	hundred, tokens, in, out            *provider
	first, second, last, grouped, slots *provider
}

func startLimitedFleet(t *testing.T) *limitedFleet {
	f := &limitedFleet{
		hundred: newProvider(t, openAI), tokens: newProvider(t, priced(30, 20)), in: newProvider(t, priced(60, 1)), out: newProvider(t, priced(1, 60)),
		first: newProvider(t, openAI), second: newProvider(t, openAI), last: newProvider(t, priced(1, 1)),
		grouped: newProvider(t, openAI), slots: newProvider(t, hang),
	}
	f.fleet = startFleet(t, 2, "model_list:\n"+entry("hundred", f.hundred.base(), ", rpm: 100")+entry("tokens", f.tokens.base(), ", tpm: 1000")+
		entry("in", f.in.base(), ", itpm: 100")+entry("out", f.out.base(), ", otpm: 100")+
		entry("sisters", f.first.base(), ", rpm: 3, order: 1")+entry("sisters", f.second.base(), ", rpm: 2, order: 2")+entry("last", f.last.base(), "")+
		entry("grouped", f.grouped.base(), "")+entry("grouped", f.grouped.base()+"/2", "")+entry("slots", f.slots.base(), ", max_parallel_requests: 2")+
		"router_settings: {num_retries: 2, fallbacks: [{sisters: [last]}], model_group_limits: {grouped: {rpm: 5}}}\n"+
		// Two replicas, two Envoys and Redis starve one another on a small machine. A
		// Redis that gets no time to run is not gone: with the default each replica
		// would go on with its share of the limits, which is right, and not exact.
		"general_settings: {"+exactByRedis+"}\n")
	f.a, f.b = f.replicas[0], f.replicas[1]
	return f
}

func TestLimitsAreExactOverTwoReplicas(t *testing.T) {
	f := startLimitedFleet(t)
	t.Run("of 400 requests at once exactly 100 pass", f.testRequests)
	t.Run("tokens are exceeded by the error of the estimate at most", f.testTokens)
	t.Run("input and output tokens have limits of their own", f.testInputAndOutput)
	t.Run("a full deployment is passed over for its sister, then for the fallback", f.testSisters)
	t.Run("a model group has a limit over its deployments", func(t *testing.T) {
		if got := statuses(f.burst(12, named("grouped", ask))); got[200] != 5 || len(f.grouped.calls()) != 5 {
			t.Errorf("answers %v, %d calls", got, len(f.grouped.calls()))
		}
	})
	t.Run("a deployment runs so many at once", f.testParallel)
	t.Run("the provider's word on its limits passes where ours do not hold", func(t *testing.T) {
		got := f.a.post("/v1/chat/completions", named("last", ask)).header
		if got.Get("X-Ratelimit-Limit-Requests") != "9999" || got.Get("X-Ratelimit-Remaining-Tokens") != "7777" {
			t.Errorf("without limits of ours: %v", got)
		}
	})
	for _, s := range f.replicas {
		s.idle()
	}
	await(t, 20*time.Second, "no lease is left", func() bool { return len(f.leases()) == 0 })
}

func (f *limitedFleet) testRequests(t *testing.T) {
	answers := f.burst(400, named("hundred", ask))
	if got := statuses(answers); got[200] != 100 || got[429] != 300 || len(f.hundred.calls()) != 100 {
		t.Errorf("answers %v, the provider was asked %d times", got, len(f.hundred.calls()))
	}
	for _, each := range answers {
		if each.status == 429 {
			expectRefusal(t, each, "rate_limit_exceeded")
		}
		if h := each.header; h.Get("X-Ratelimit-Limit-Requests") != "100" || h.Get("X-Ratelimit-Remaining-Requests") == "" || h.Get("X-Ratelimit-Reset-Requests") == "" {
			t.Fatalf("%d: %v", each.status, h)
		}
	}
}

func (f *limitedFleet) testTokens(t *testing.T) {
	body := named("tokens", strings.Replace(ask, `"model"`, `"max_tokens":40,"model"`, 1))
	for range 5 {
		f.burst(20, body)
		// Charges are estimates until Redis has been told what was used.
		await(t, 20*time.Second, "what was used is charged", func() bool { return f.charged("tokens") == int64(50*len(f.tokens.calls())) })
	}
	used := 50 * len(f.tokens.calls())
	t.Logf("tpm 1000: %d tokens used, %+d", used, used-1000)
	if used < 900 || used > 1000+20*50 {
		t.Errorf("%d tokens were used of 1000", used)
	}
	if got := f.a.post("/v1/chat/completions", body); got.status != 429 || got.header.Get("X-Ratelimit-Limit-Tokens") != "1000" {
		t.Errorf("%d %v", got.status, got.header)
	}
}

func (f *limitedFleet) testInputAndOutput(t *testing.T) {
	for _, model := range []string{"in", "out"} {
		if got := f.a.post("/v1/chat/completions", named(model, ask)); got.status != 200 {
			t.Fatalf("%s: %d %s", model, got.status, got.body)
		}
		// An answer's tokens are charged a moment after the client has it.
		await(t, 20*time.Second, "60 tokens of "+model+" are charged", func() bool { return f.charged(model) == 60 })
		for f.b.post("/v1/chat/completions", named(model, ask)).status == 200 {
			await(t, 20*time.Second, "120 tokens of "+model+" are charged", func() bool { return f.charged(model) == 120 })
		}
	}
	if len(f.in.calls()) > 2 || len(f.out.calls()) > 2 {
		t.Errorf("%d and %d calls passed", len(f.in.calls()), len(f.out.calls()))
	}
}

func (f *limitedFleet) testSisters(t *testing.T) {
	answers := f.burst(9, named("sisters", ask))
	if got := statuses(answers); got[200] != 9 || len(f.first.calls()) != 3 || len(f.second.calls()) != 2 || len(f.last.calls()) != 4 {
		t.Errorf("answers %v; the deployments were asked %d, %d, %d times", got, len(f.first.calls()), len(f.second.calls()), len(f.last.calls()))
	}
	for _, each := range answers {
		if each.header.Get("X-Isthmus-Attempts") != "1" {
			t.Errorf("passing over is no attempt: %v", each.header)
		}
	}
}

func (f *limitedFleet) testParallel(t *testing.T) {
	for _, s := range f.replicas {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(named("slots", ask)))
			if err == nil {
				_, _ = http.DefaultClient.Do(req)
			}
		}()
	}
	await(t, 20*time.Second, "two run", func() bool { return len(f.slots.calls()) == 2 })
	clock := asynctest.WatchStalls(t).Clock()
	for _, s := range f.replicas {
		expectRefusal(t, s.post("/v1/chat/completions", named("slots", ask)), "too_many_parallel_requests")
	}
	if took, late := clock(); took-late > 5*time.Second {
		t.Errorf("refusing took %s; the machine was late by %s", took, late)
	}
}

func TestOurLimitsReplaceTheProvidersInAnAnswersHeader(t *testing.T) {
	p := newProvider(t, priced(3, 2))
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", rpm: 10"))
	got := s.post("/v1/chat/completions", ask).header
	if got.Get("X-Ratelimit-Limit-Requests") != "10" || got.Get("X-Ratelimit-Remaining-Requests") != "9" || got.Get("X-Ratelimit-Remaining-Tokens") != "" {
		t.Errorf("header = %v", got)
	}
}

func TestEveryStrategyKeepsToTheLimits(t *testing.T) {
	for _, strategy := range []string{"simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based"} {
		t.Run(strategy, func(t *testing.T) {
			three, two := newProvider(t, openAI), newProvider(t, openAI)
			s := startStack(t, "model_list:\n"+entry("m", three.base(), ", rpm: 3")+entry("m", two.base(), ", rpm: 2")+
				"router_settings: {routing_strategy: "+strategy+"}\n")
			answers := burst([]*stack{s}, 10, ask)
			if got := statuses(answers); got[200] != 5 || got[429] != 5 || len(three.calls()) != 3 || len(two.calls()) != 2 {
				t.Errorf("answers %v; %d and %d calls", got, len(three.calls()), len(two.calls()))
			}
		})
	}
}

// Passing a full deployment over is no attempt: however few a request has, it finds
// the sister that has room, and only then the fallback. Envoys before 1.40 are told
// orders that were made at load.
func TestAFullDeploymentIsPassedOverForAnyOfItsSisters(t *testing.T) {
	for _, release := range []string{"1.40.0", "1.37.0", "1.36.4"} {
		for _, limits := range []string{"rpm: 1", "max_parallel_requests: 1"} {
			t.Run(release+", "+limits, func(t *testing.T) {
				release := envoytest.Envoy(t, release)
				p, last := newGate(t), newProvider(t, openAI)
				config := "model_list:\n" + entry("last", last.base(), "")
				for i := range 5 {
					config += entry("m", p.base(), fmt.Sprintf(", %s, order: %d", limits, i+1))
				}
				s := startStack(t, config+"router_settings: {num_retries: 0, fallbacks: [{m: [last]}]}\n", "--envoy", release.Path, "--concurrency", "1")
				answers := make(chan *answer, 5)
				for range 5 {
					go func() { answers <- s.post("/v1/chat/completions", ask) }()
				}
				await(t, 20*time.Second, "five run", func() bool { return len(p.calls()) == 5 })
				for range 2 {
					if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Model-Group") != "last" {
						t.Errorf("when all are full: %d %v", got.status, got.header)
					}
				}
				p.pass(t, 5)
				served := map[string]bool{}
				for range 5 {
					got := <-answers
					if got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "1" {
						t.Errorf("%d %s %v", got.status, got.body, got.header)
					}
					served[got.header.Get("X-Isthmus-Deployment")] = true
				}
				if len(served) != 5 || len(last.calls()) != 2 {
					t.Errorf("%d deployments served, the fallback %d times", len(served), len(last.calls()))
				}
				s.idle()
			})
		}
	}
}

// The same holds for the attempt after a failure.
func TestAfterAFailureAFullDeploymentIsPassedOverToo(t *testing.T) {
	broken, busy, free := newProvider(t, failWith(500)), newGate(t), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", broken.base(), ", order: 1, rpm: 100")+
		entry("m", busy.base(), ", order: 2, max_parallel_requests: 1")+entry("m", free.base(), ", order: 3, rpm: 100")+
		"router_settings: {num_retries: 1, cooldown_time: 0}\n")
	answers := make(chan *answer, 1)
	go func() { answers <- s.post("/v1/chat/completions", ask) }()
	await(t, 20*time.Second, "the second is busy", func() bool { return len(busy.calls()) == 1 })
	if got := s.post("/v1/chat/completions", ask); got.status != 200 || len(free.calls()) != 1 || got.header.Get("X-Isthmus-Attempts") != "2" {
		t.Errorf("%d %s, the third was asked %d times", got.status, got.body, len(free.calls()))
	}
	busy.pass(t, 1)
	if got := <-answers; got.status != 200 {
		t.Errorf("the first request: %d", got.status)
	}
	s.idle()
}

// Who waited for a slot goes where there is room by then.
func TestARequestFromTheQueueGoesWhereThereIsRoom(t *testing.T) {
	slow, first, second, last := newGate(t), newProvider(t, openAI), newProvider(t, openAI), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("slow", slow.base(), "")+entry("last", last.base(), "")+
		entry("m", first.base(), ", rpm: 1, order: 1")+entry("m", second.base(), ", rpm: 1, order: 2")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [last]}], max_parallel_requests: 1, enable_request_queue: true}\n")
	answers := make(chan *answer, 5)
	go func() { answers <- s.post("/v1/chat/completions", named("slow", ask)) }()
	await(t, 20*time.Second, "the only slot is taken", func() bool { return len(slow.calls()) == 1 })
	for range 4 {
		go func() { answers <- s.post("/v1/chat/completions", ask) }()
	}
	await(t, 20*time.Second, "four wait", func() bool { return s.metric("isthmus_queue_length") == 4 })
	slow.pass(t, 1)
	for range 5 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if len(first.calls()) != 1 || len(second.calls()) != 1 || len(last.calls()) != 2 {
		t.Errorf("the deployments were asked %d and %d times, the fallback %d times", len(first.calls()), len(second.calls()), len(last.calls()))
	}
}

func TestARetryKeepsToTheLimits(t *testing.T) {
	broken, good := newProvider(t, failWith(500)), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", broken.base(), ", order: 1")+entry("m", good.base(), ", order: 2, rpm: 2")+
		"router_settings: {num_retries: 2, cooldown_time: 0}\n")
	if got := statuses(burst([]*stack{s}, 8, ask)); got[200] != 2 || got[500] != 6 || len(good.calls()) != 2 {
		t.Errorf("answers %v, the good deployment was asked %d times, its limit is 2", got, len(good.calls()))
	}
}

func TestEachCallerHasLimitsOfItsOwn(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+entry("n", p.base(), "")+
		"general_settings: {tenant_header: X-Team, tenant_limits: {rpm: 3}}\n")
	for _, team := range []string{"red", "blue", ""} {
		for i, model := range []string{"m", "n", "m", "n"} {
			got := s.post("/v1/chat/completions", named(model, ask), "X-Team", team)
			if want := i < 3; (got.status == 200) != want {
				t.Errorf("team %q, request %d: %d", team, i+1, got.status)
			}
			if i == 3 {
				expectRefusal(t, got, "rate_limit_exceeded")
				if !strings.Contains(got.body, "your limit of requests or tokens per minute is reached") || got.header.Get("X-Ratelimit-Limit-Requests") != "3" {
					t.Errorf("team %q is told %s %v", team, got.body, got.header)
				}
			}
		}
	}
	if n := len(p.calls()); n != 9 {
		t.Errorf("%d calls", n)
	}
}

func TestARequestThatItsClientLeavesStaysCounted(t *testing.T) {
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "leave") {
			hang(w, r, body)
			return
		}
		openAI(w, r, body)
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", rpm: 2")+entry("late", p.base(), ", rpm: 1, timeout: 0.3, num_retries: 0"))
	s.leave(t, p, strings.Replace(ask, "hi", "leave", 1))
	s.idle()
	if got := statuses(burst([]*stack{s}, 3, ask)); got[200] != 1 || got[429] != 2 {
		t.Errorf("after a request that was left: %v", got)
	}
	if got := s.post("/v1/chat/completions", named("late", strings.Replace(ask, "hi", "leave", 1))); got.status != 504 {
		t.Errorf("a late answer: %d %s", got.status, got.body)
	}
	if got := s.post("/v1/chat/completions", named("late", ask)); got.status != 429 {
		t.Errorf("after a late answer: %d", got.status)
	}
}
