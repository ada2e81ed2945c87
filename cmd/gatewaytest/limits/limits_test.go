package limits

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// A limitedFleet is two replicas that share their limits, and the providers of its
// model groups, one for each kind of limit.
type limitedFleet struct {
	*gatewaytest.Fleet
	a, b                                *gatewaytest.Gateway // the replicas
	hundred, tokens, in, out            *gatewaytest.Provider
	first, second, last, grouped, slots *gatewaytest.Provider
}

func startLimitedFleet(t *testing.T) *limitedFleet {
	f := &limitedFleet{
		hundred: gatewaytest.NewProvider(t, gatewaytest.OpenAI), tokens: gatewaytest.NewProvider(t, gatewaytest.Priced(30, 20)),
		in: gatewaytest.NewProvider(t, gatewaytest.Priced(60, 1)), out: gatewaytest.NewProvider(t, gatewaytest.Priced(1, 60)),
		first: gatewaytest.NewProvider(t, gatewaytest.OpenAI), second: gatewaytest.NewProvider(t, gatewaytest.OpenAI),
		last:    gatewaytest.NewProvider(t, gatewaytest.Priced(1, 1)),
		grouped: gatewaytest.NewProvider(t, gatewaytest.OpenAI), slots: gatewaytest.NewProvider(t, gatewaytest.Hang),
	}
	f.Fleet = gatewaytest.StartFleet(
		t,
		2,
		"model_list:\n"+gatewaytest.Entry("hundred", f.hundred.Base(), ", rpm: 100")+gatewaytest.Entry("tokens", f.tokens.Base(), ", tpm: 1000")+
			gatewaytest.Entry("in", f.in.Base(), ", itpm: 100")+gatewaytest.Entry("out", f.out.Base(), ", otpm: 100")+
			gatewaytest.Entry("sisters", f.first.Base(), ", rpm: 3, order: 1")+gatewaytest.Entry("sisters", f.second.Base(), ", rpm: 2, order: 2")+
			gatewaytest.Entry("last", f.last.Base(), "")+
			gatewaytest.Entry("grouped", f.grouped.Base(), "")+gatewaytest.Entry("grouped", f.grouped.Base()+"/2", "")+
			gatewaytest.Entry("slots", f.slots.Base(), ", max_parallel_requests: 2")+
			"router_settings: {num_retries: 2, fallbacks: [{sisters: [last]}], model_group_limits: {grouped: {rpm: 5}}}\n"+
			// Two replicas, two Envoys and Redis starve one another on a small machine. A
			// Redis that gets no time to run is not gone: with the default each replica
			// would go on with its share of the limits, which is right, and not exact.
			"general_settings: {"+gatewaytest.ExactByRedis+"}\n",
	)
	f.a, f.b = f.Replicas[0], f.Replicas[1]
	return f
}

func TestLimitsAreExactOverTwoReplicas(t *testing.T) {
	f := startLimitedFleet(t)
	t.Run("of 400 requests at once exactly 100 pass", f.testRequests)
	t.Run("tokens are exceeded by the error of the estimate at most", f.testTokens)
	t.Run("input and output tokens have limits of their own", f.testInputAndOutput)
	t.Run("a full deployment is passed over for its sister, then for the fallback", f.testSisters)
	t.Run("a model group has a limit over its deployments", func(t *testing.T) {
		got := gatewaytest.Statuses(f.Burst(12, gatewaytest.ForModel("grouped", gatewaytest.Ask)))
		if got[200] != 5 || len(f.grouped.Calls()) != 5 {
			t.Errorf("answers %v, %d calls", got, len(f.grouped.Calls()))
		}
	})
	t.Run("a deployment runs so many at once", f.testParallel)
	t.Run("the provider's word on its limits passes where ours do not hold", func(t *testing.T) {
		got := f.a.Post("/v1/chat/completions", gatewaytest.ForModel("last", gatewaytest.Ask)).Header
		if got.Get("X-Ratelimit-Limit-Requests") != "9999" || got.Get("X-Ratelimit-Remaining-Tokens") != "7777" {
			t.Errorf("without limits of ours: %v", got)
		}
	})
	for _, s := range f.Replicas {
		s.Idle()
	}
	asynctest.Await(t, "no lease is left", func() bool { return len(f.Leases()) == 0 })
}

func (f *limitedFleet) testRequests(t *testing.T) {
	answers := f.Burst(400, gatewaytest.ForModel("hundred", gatewaytest.Ask))
	if got := gatewaytest.Statuses(answers); got[200] != 100 || got[429] != 300 || len(f.hundred.Calls()) != 100 {
		t.Errorf("answers %v, the provider was asked %d times", got, len(f.hundred.Calls()))
	}
	for _, each := range answers {
		if each.Status == 429 {
			gatewaytest.ExpectRefusal(t, each, "rate_limit_exceeded")
		}
		h := each.Header
		if h.Get("X-Ratelimit-Limit-Requests") != "100" || h.Get("X-Ratelimit-Remaining-Requests") == "" ||
			h.Get("X-Ratelimit-Reset-Requests") == "" {
			t.Fatalf("%d: %v", each.Status, h)
		}
	}
}

func (f *limitedFleet) testTokens(t *testing.T) {
	body := gatewaytest.ForModel("tokens", strings.Replace(gatewaytest.Ask, `"model"`, `"max_tokens":40,"model"`, 1))
	for range 5 {
		f.Burst(20, body)
		// Charges are estimates until Redis has been told what was used.
		asynctest.Await(t, "what was used is charged",
			func() bool { return f.Charged("tokens") == int64(50*len(f.tokens.Calls())) })
	}
	used := 50 * len(f.tokens.Calls())
	t.Logf("tpm 1000: %d tokens used, %+d", used, used-1000)
	if used < 900 || used > 1000+20*50 {
		t.Errorf("%d tokens were used of 1000", used)
	}
	if got := f.a.Post("/v1/chat/completions", body); got.Status != 429 || got.Header.Get("X-Ratelimit-Limit-Tokens") != "1000" {
		t.Errorf("%d %v", got.Status, got.Header)
	}
}

func (f *limitedFleet) testInputAndOutput(t *testing.T) {
	for _, model := range []string{"in", "out"} {
		if got := f.a.Post("/v1/chat/completions", gatewaytest.ForModel(model, gatewaytest.Ask)); got.Status != 200 {
			t.Fatalf("%s: %d %s", model, got.Status, got.Body)
		}
		// An answer's tokens are charged a moment after the client has it.
		asynctest.Await(t, "60 tokens of "+model+" are charged", func() bool { return f.Charged(model) == 60 })
		for f.b.Post("/v1/chat/completions", gatewaytest.ForModel(model, gatewaytest.Ask)).Status == 200 {
			asynctest.Await(t, "120 tokens of "+model+" are charged", func() bool { return f.Charged(model) == 120 })
		}
	}
	if len(f.in.Calls()) > 2 || len(f.out.Calls()) > 2 {
		t.Errorf("%d and %d calls passed", len(f.in.Calls()), len(f.out.Calls()))
	}
}

func (f *limitedFleet) testSisters(t *testing.T) {
	answers := f.Burst(9, gatewaytest.ForModel("sisters", gatewaytest.Ask))
	got := gatewaytest.Statuses(answers)
	if got[200] != 9 || len(f.first.Calls()) != 3 || len(f.second.Calls()) != 2 || len(f.last.Calls()) != 4 {
		t.Errorf("answers %v; the deployments were asked %d, %d, %d times", got, len(f.first.Calls()), len(f.second.Calls()), len(f.last.Calls()))
	}
	for _, each := range answers {
		if each.Header.Get("X-Isthmus-Attempts") != "1" {
			t.Errorf("passing over is no attempt: %v", each.Header)
		}
	}
}

func (f *limitedFleet) testParallel(t *testing.T) {
	for _, s := range f.Replicas {
		go func() {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions",
				strings.NewReader(gatewaytest.ForModel("slots", gatewaytest.Ask)))
			if err == nil {
				_, _ = http.DefaultClient.Do(req)
			}
		}()
	}
	asynctest.Await(t, "two run", func() bool { return len(f.slots.Calls()) == 2 })
	clock := asynctest.WatchStalls(t).Clock()
	for _, s := range f.Replicas {
		gatewaytest.ExpectRefusal(t, s.Post("/v1/chat/completions", gatewaytest.ForModel("slots", gatewaytest.Ask)), "too_many_parallel_requests")
	}
	if took, late := clock(); testring.JudgesTimes() && took-late > 5*time.Second {
		t.Errorf("refusing took %s; the machine was late by %s", took, late)
	}
}

func TestOurLimitsReplaceTheProvidersInAnAnswersHeader(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.Priced(3, 2))
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", rpm: 10"))
	got := s.Post("/v1/chat/completions", gatewaytest.Ask).Header
	if got.Get("X-Ratelimit-Limit-Requests") != "10" || got.Get("X-Ratelimit-Remaining-Requests") != "9" ||
		got.Get("X-Ratelimit-Remaining-Tokens") != "" {
		t.Errorf("header = %v", got)
	}
}

func TestEveryStrategyKeepsToTheLimits(t *testing.T) {
	for _, strategy := range []string{"simple-shuffle", "least-busy", "latency-based", "usage-based", "cost-based"} {
		t.Run(strategy, func(t *testing.T) {
			three, two := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", three.Base(), ", rpm: 3")+
				gatewaytest.Entry("m", two.Base(), ", rpm: 2")+"router_settings: {routing_strategy: "+strategy+"}\n")
			answers := gatewaytest.Burst([]*gatewaytest.Gateway{s}, 10, gatewaytest.Ask)
			if got := gatewaytest.Statuses(answers); got[200] != 5 || got[429] != 5 || len(three.Calls()) != 3 || len(two.Calls()) != 2 {
				t.Errorf("answers %v; %d and %d calls", got, len(three.Calls()), len(two.Calls()))
			}
		})
	}
}

// Passing a full deployment over is no attempt: however few a request has, it finds
// the sister that has room, and only then the fallback. Envoys before 1.40 are told
// orders that were made at load.
func TestAFullDeploymentIsPassedOverForAnyOfItsSisters(t *testing.T) {
	t.Parallel()
	for _, release := range []string{"1.40.0", "1.37.0", "1.36.4"} {
		for _, limits := range []string{"rpm: 1", "max_parallel_requests: 1"} {
			t.Run(release+", "+limits, func(t *testing.T) {
				release := envoytest.Envoy(t, release)
				p, last := gatewaytest.NewGate(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
				config := "model_list:\n" + gatewaytest.Entry("last", last.Base(), "")
				for i := range 5 {
					config += gatewaytest.Entry("m", p.Base(), fmt.Sprintf(", %s, order: %d", limits, i+1))
				}
				s := gatewaytest.Start(t, config+"router_settings: {num_retries: 0, fallbacks: [{m: [last]}]}\n", "--envoy", release.Path,
					"--concurrency", "1")
				answers := make(chan *gatewaytest.Answer, 5)
				for range 5 {
					go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
				}
				asynctest.Await(t, "five run", func() bool { return len(p.Calls()) == 5 })
				for range 2 {
					if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Model-Group") != "last" {
						t.Errorf("when all are full: %d %v", got.Status, got.Header)
					}
				}
				p.Pass(t, 5)
				served := map[string]bool{}
				for range 5 {
					got := <-answers
					if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "1" {
						t.Errorf("%d %s %v", got.Status, got.Body, got.Header)
					}
					served[got.Header.Get("X-Isthmus-Deployment")] = true
				}
				if len(served) != 5 || len(last.Calls()) != 2 {
					t.Errorf("%d deployments served, the fallback %d times", len(served), len(last.Calls()))
				}
				s.Idle()
			})
		}
	}
}

// The same holds for the attempt after a failure.
func TestAfterAFailureAFullDeploymentIsPassedOverToo(t *testing.T) {
	broken, busy, free := gatewaytest.NewProvider(t, gatewaytest.FailWith(500)), gatewaytest.NewGate(t),
		gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", broken.Base(), ", order: 1, rpm: 100")+
		gatewaytest.Entry("m", busy.Base(), ", order: 2, max_parallel_requests: 1")+gatewaytest.Entry("m", free.Base(), ", order: 3, rpm: 100")+
		"router_settings: {num_retries: 1, cooldown_time: 0}\n")
	answers := make(chan *gatewaytest.Answer, 1)
	go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	asynctest.Await(t, "the second is busy", func() bool { return len(busy.Calls()) == 1 })
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got.Status != 200 || len(free.Calls()) != 1 || got.Header.Get("X-Isthmus-Attempts") != "2" {
		t.Errorf("%d %s, the third was asked %d times", got.Status, got.Body, len(free.Calls()))
	}
	busy.Pass(t, 1)
	if got := <-answers; got.Status != 200 {
		t.Errorf("the first request: %d", got.Status)
	}
	s.Idle()
}

// Who waited for a slot goes where there is room by then.
func TestARequestFromTheQueueGoesWhereThereIsRoom(t *testing.T) {
	slow, first, second, last := gatewaytest.NewGate(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI),
		gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("slow", slow.Base(), "")+gatewaytest.Entry("last", last.Base(), "")+
		gatewaytest.Entry("m", first.Base(), ", rpm: 1, order: 1")+gatewaytest.Entry("m", second.Base(), ", rpm: 1, order: 2")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [last]}], max_parallel_requests: 1, enable_request_queue: true}\n")
	answers := make(chan *gatewaytest.Answer, 5)
	go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.ForModel("slow", gatewaytest.Ask)) }()
	asynctest.Await(t, "the only slot is taken", func() bool { return len(slow.Calls()) == 1 })
	for range 4 {
		go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	}
	asynctest.Await(t, "four wait", func() bool { return s.Metric("isthmus_queue_length") == 4 })
	slow.Pass(t, 1)
	for range 5 {
		if got := <-answers; got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	if len(first.Calls()) != 1 || len(second.Calls()) != 1 || len(last.Calls()) != 2 {
		t.Errorf("the deployments were asked %d and %d times, the fallback %d times", len(first.Calls()), len(second.Calls()), len(last.Calls()))
	}
}

func TestARetryKeepsToTheLimits(t *testing.T) {
	broken, good := gatewaytest.NewProvider(t, gatewaytest.FailWith(500)), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", broken.Base(), ", order: 1")+
		gatewaytest.Entry("m", good.Base(), ", order: 2, rpm: 2")+"router_settings: {num_retries: 2, cooldown_time: 0}\n")
	got := gatewaytest.Statuses(gatewaytest.Burst([]*gatewaytest.Gateway{s}, 8, gatewaytest.Ask))
	if got[200] != 2 || got[500] != 6 || len(good.Calls()) != 2 {
		t.Errorf("answers %v, the good deployment was asked %d times, its limit is 2", got, len(good.Calls()))
	}
}

func TestEachCallerHasLimitsOfItsOwn(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Entry("n", p.Base(), "")+
		"general_settings: {tenant_header: X-Team, tenant_limits: {rpm: 3}}\n")
	for _, team := range []string{"red", "blue", ""} {
		for i, model := range []string{"m", "n", "m", "n"} {
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(model, gatewaytest.Ask), "X-Team", team)
			if want := i < 3; (got.Status == 200) != want {
				t.Errorf("team %q, request %d: %d", team, i+1, got.Status)
			}
			if i == 3 {
				gatewaytest.ExpectRefusal(t, got, "rate_limit_exceeded")
				if !strings.Contains(got.Body, "your limit of requests or tokens per minute is reached") ||
					got.Header.Get("X-Ratelimit-Limit-Requests") != "3" {
					t.Errorf("team %q is told %s %v", team, got.Body, got.Header)
				}
			}
		}
	}
	if n := len(p.Calls()); n != 9 {
		t.Errorf("%d calls", n)
	}
}

func TestARequestThatItsClientLeavesStaysCounted(t *testing.T) {
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "leave") {
			gatewaytest.Hang(w, r, body)
			return
		}
		gatewaytest.OpenAI(w, r, body)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", rpm: 2")+
		gatewaytest.Entry("late", p.Base(), ", rpm: 1, timeout: 0.3, num_retries: 0"))
	s.Leave(t, p, strings.Replace(gatewaytest.Ask, "hi", "leave", 1))
	s.Idle()
	if got := gatewaytest.Statuses(gatewaytest.Burst([]*gatewaytest.Gateway{s}, 3, gatewaytest.Ask)); got[200] != 1 || got[429] != 2 {
		t.Errorf("after a request that was left: %v", got)
	}
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("late", strings.Replace(gatewaytest.Ask, "hi", "leave", 1)))
	if got.Status != 504 {
		t.Errorf("a late answer: %d %s", got.Status, got.Body)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.ForModel("late", gatewaytest.Ask)); got.Status != 429 {
		t.Errorf("after a late answer: %d", got.Status)
	}
}
