package metrics

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// everything is a Metrics that has counted something of each kind.
func everything(t testing.TB) (*Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m := New(registry, "1.2.3")
	m.Request(stream())
	m.Request(&Request{Endpoint: "chat/completions", Operation: "chat", Asked: "m", Status: 429, Failed: true, Code: "rate_limit_exceeded"})
	m.Request(&Request{Endpoint: "chat/completions", Operation: "chat", Asked: "m", Status: 200, Cache: "hit"})
	failed := stream()
	failed.Attempts = failed.Attempts[:1]
	failed.Served, failed.Status, failed.Failed, failed.Cache = Served{}, 503, true, "miss"
	failed.Fallbacks = []Fallback{{To: "other", Status: 500}}
	m.Request(failed)
	m.Queued("m", "admitted", "gateway", time.Second)
	f := m.Filter("request")
	f.Opened()
	m.Panicked("a test")
	f.Message(wire.RequestBody, time.Millisecond)
	m.Watch(Sources{
		Gateway: func() Gateway { return Gateway{Open: 3, Draining: true, LeftOut: 1} },
		Deployments: func() []Deployment {
			return []Deployment{{Group: "m", ID: "d1", Provider: "openai", Model: "gpt", InFlight: 2, Cooldowns: 5, State: Cooling,
				Cooling: 4 * time.Second, Requests: 7, Tokens: 70, RPM: 10, TPM: 100}}
		},
	})
	m.Watch(Sources{
		Cache: func() Cache { return Cache{Hits: 1, Misses: 2, Shared: 3} },
		Queue: func() Queue { return Queue{Length: 1, Capacity: 9} },
		Store: func() Store { return Store{Skipped: map[string]int64{"window": 2}} },
		Sinks: func() []Sink { return []Sink{{Name: "langfuse", Sent: 4, Dropped: 1}} },
	})
	return m, registry
}

// stream is a request that was answered with a stream by its second group.
func stream() *Request {
	first := Served{Group: "m", Deployment: "d1", Provider: "openai", System: "openai", Model: "gpt"}
	second := Served{Group: "other", Deployment: "d2", Provider: "gemini", System: "gcp.gemini", Model: "flash"}
	return &Request{
		Endpoint: "chat/completions", Operation: "chat", Asked: "m", Served: second, Status: 200, Cache: "miss", Stream: true,
		Duration: 3 * time.Second, FirstToken: time.Second, Own: 300 * time.Microsecond,
		Tokens: Tokens{Prompt: 10, Completion: 21, Cached: 4}, Cost: .25,
		Fallbacks: []Fallback{{To: "other", Status: 500, Good: true}},
		Attempts: []Attempt{
			{Served: first, Outcome: Failed, Status: 500, Took: 500 * time.Millisecond},
			{Served: second, Outcome: Good, Status: 200, Took: 2500 * time.Millisecond, FirstToken: 500 * time.Millisecond},
		},
	}
}

func gather(t testing.TB, r *prometheus.Registry) []*dto.MetricFamily {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func TestThePageHasExactlyTheDefinedMetricsAndLabels(t *testing.T) {
	m, registry := everything(t)
	var got []Definition
	for _, f := range gather(t, registry) {
		d := Definition{Name: f.GetName(), Kind: strings.ToLower(f.GetType().String()), Help: f.GetHelp()}
		for _, l := range f.GetMetric()[0].GetLabel() {
			d.Labels = append(d.Labels, l.GetName())
		}
		got = append(got, d)
	}
	var want []Definition
	for _, d := range m.Definitions() {
		slices.Sort(d.Labels)
		want = append(want, d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page is not what is defined (-defined +page):\n%s", diff)
	}
}

// value finds a sample: of a histogram, the number of observations, or with
// _sum their sum.
func value(t *testing.T, families []*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	base, sum := strings.CutSuffix(name, "_sum")
	for _, f := range families {
		if f.GetName() != base {
			continue
		}
		for _, m := range f.GetMetric() {
			if !carries(m, labels) {
				continue
			}
			switch h := m.GetHistogram(); {
			case h == nil:
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			case sum:
				return h.GetSampleSum()
			default:
				return float64(h.GetSampleCount())
			}
		}
	}
	t.Errorf("no sample of %s has %q", name, labels)
	return -1
}

func carries(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
			return false
		}
	}
	return true
}

func TestARequestIsCountedUnderEachOfItsNames(t *testing.T) {
	_, registry := everything(t)
	families := gather(t, registry)
	genAI := []string{"gen_ai_operation_name", "chat", "gen_ai_provider_name", "gcp.gemini", "gen_ai_request_model", "other",
		"gen_ai_response_model", "flash"}
	lite := []string{"requested_model", "m", "model", "flash", "model_id", "d2"}
	for _, tc := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"isthmus_requests_total", []string{"deployment", "d2", "status", "200"}, 1},
		{"isthmus_requests_total", []string{"deployment", "", "model_group", "m", "status", "503"}, 1},
		{"isthmus_tokens_total", []string{"kind", "prompt", "estimated", "false"}, 10},
		{"isthmus_tokens_total", []string{"kind", "cached"}, 4},
		{"isthmus_refused_total", []string{"code", "rate_limit_exceeded", "status", "429"}, 1},
		{"isthmus_fallbacks_total", []string{"outcome", "good", "model_group", "other"}, 1},
		{"isthmus_attempts_total", []string{"deployment", "d1", "outcome", "failed", "status", "500"}, 2},
		{"isthmus_overhead_seconds_sum", []string{"endpoint", "chat/completions"}, .0006},
		{"gen_ai_client_token_usage_sum", append(genAI, "gen_ai_token_type", "output"), 21},
		{"gen_ai_server_request_duration_seconds_sum", append(genAI, "error_type", ""), 3},
		{"gen_ai_server_request_duration_seconds", []string{"error_type", "503"}, 1},
		{"gen_ai_server_time_to_first_token_seconds_sum", genAI, 1},
		{"gen_ai_server_time_per_output_token_seconds_sum", genAI, .1},
		{"litellm_proxy_total_requests_metric_total", []string{"requested_model", "m", "status_code", "200"}, 2},
		{"litellm_proxy_failed_requests_metric_total", []string{"exception_class", "RateLimitError", "exception_status", "429"}, 1},
		{"litellm_total_tokens_metric_total", lite, 31},
		{"litellm_spend_metric_total", lite, .25},
		{"litellm_llm_api_latency_metric_sum", lite, 2.5},
		{"litellm_llm_api_time_to_first_token_metric_sum", lite, .5},
		{"litellm_cache_hits_metric_total", []string{"model", "m"}, 1},
		{"litellm_deployment_failure_responses_total", []string{"model_id", "d1", "exception_class", "InternalServerError"}, 2},
		{"litellm_deployment_success_responses_total", []string{"model_id", "d2"}, 1},
		{"litellm_deployment_successful_fallbacks_total", []string{"fallback_model", "other", "exception_status", "500"}, 1},
		{"litellm_deployment_state", []string{"model_id", "d1"}, 2},
		{"litellm_deployment_cooled_down_total", []string{"model_id", "d1"}, 5},
		{"isthmus_deployment_cooldown_seconds", []string{"deployment", "d1"}, 4},
		{"isthmus_deployment_minute_limit", []string{"kind", "tokens"}, 100},
		{"isthmus_cache_lookups_total", []string{"result", "shared"}, 3},
		{"isthmus_sink_sent_total", []string{"sink", "langfuse"}, 4},
		{"isthmus_draining", nil, 1},
	} {
		if got := value(t, families, tc.name, tc.labels...); got < tc.want*.999 || got > tc.want*1.001 {
			t.Errorf("%s%q = %v, want %v", tc.name, tc.labels, got, tc.want)
		}
	}
}

func TestTokensOfAnAnswerFromTheCacheAreNotCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := New(registry, "")
	m.Request(&Request{Endpoint: "chat/completions", Operation: "chat", Asked: "m", Status: 200, Cache: "hit",
		Tokens: Tokens{Prompt: 5, Completion: 5}})
	for _, f := range gather(t, registry) {
		if strings.Contains(f.GetName(), "token") {
			t.Errorf("%s has samples", f.GetName())
		}
	}
}

func TestSeriesAreBuiltOnceHoweverManyAsk(t *testing.T) {
	var mu sync.Mutex
	built := map[int]int{}
	table := table[int, string]{build: func(k int) *string {
		mu.Lock()
		defer mu.Unlock()
		built[k]++
		s := strconv.Itoa(k)
		return &s
	}}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for k := range 50 {
				if got := *table.get(k); got != strconv.Itoa(k) {
					t.Errorf("get(%d) = %s", k, got)
				}
			}
		})
	}
	all.Wait()
	for k, n := range built {
		if n != 1 {
			t.Errorf("%d was built %d times", k, n)
		}
	}
}

// BenchmarkRequest counts a request with one attempt.
func BenchmarkRequest(b *testing.B) {
	m := New(prometheus.NewRegistry(), "")
	r := stream()
	r.Attempts, r.Fallbacks = r.Attempts[1:], nil
	b.ReportAllocs()
	for b.Loop() {
		m.Request(r)
	}
}

// BenchmarkMessage counts a message of Envoy's.
func BenchmarkMessage(b *testing.B) {
	f := New(prometheus.NewRegistry(), "").Filter("request")
	b.ReportAllocs()
	for b.Loop() {
		f.Message(wire.RequestBody, 120*time.Microsecond)
	}
}
