package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// litellm are the metrics that LiteLLM's dashboards read, with those of their
// labels that come from the configuration.
type litellm struct {
	requests, failed                             *prometheus.CounterVec
	input, output, total, cached, spend          *prometheus.CounterVec
	cacheHits, cacheMisses                       *prometheus.CounterVec
	fallbackGood, fallbackFailed                 *prometheus.CounterVec
	latency, apiLatency, apiFirstToken, perToken *prometheus.HistogramVec
	overhead                                     *prometheus.HistogramVec
}

func newLiteLLM(k *maker) litellm {
	model := []string{"requested_model", "model", "model_id"}
	fallback := []string{"requested_model", "fallback_model", "exception_status"}
	return litellm{
		requests: k.counter("litellm_proxy_total_requests_metric_total", "Ended requests.", "requested_model", "status_code"),
		failed: k.counter("litellm_proxy_failed_requests_metric_total", "Requests whose client got an error.", "requested_model",
			"exception_status", "exception_class"),
		input:       k.counter("litellm_input_tokens_metric_total", "Tokens of prompts.", model...),
		output:      k.counter("litellm_output_tokens_metric_total", "Tokens of answers.", model...),
		total:       k.counter("litellm_total_tokens_metric_total", "Tokens of prompts and answers.", model...),
		cached:      k.counter("litellm_cached_tokens_metric_total", "Tokens of prompts that the provider read from its own cache.", model...),
		spend:       k.counter("litellm_spend_metric_total", "USD spent, where prices are configured.", model...),
		cacheHits:   k.counter("litellm_cache_hits_metric_total", "Requests answered from the cache.", "model"),
		cacheMisses: k.counter("litellm_cache_misses_metric_total", "Requests that the cache had no answer to.", "model"),

		fallbackGood: k.counter("litellm_deployment_successful_fallbacks_total",
			"Fallbacks that answered. exception_status is of the attempt before.", fallback...),
		fallbackFailed: k.counter("litellm_deployment_failed_fallbacks_total", "Fallbacks that failed too.", fallback...),

		latency: k.histogram("litellm_request_total_latency_metric", "Seconds from the request's headers to its end.", durationBuckets(),
			model...),
		apiLatency: k.histogram("litellm_llm_api_latency_metric", "Seconds of the provider's call that answered.", durationBuckets(), model...),
		apiFirstToken: k.histogram("litellm_llm_api_time_to_first_token_metric",
			"Seconds from the provider's call to the first token of its stream.", firstTokenBuckets(), model...),
		perToken: k.histogram("litellm_deployment_latency_per_output_token",
			"Seconds of the provider's call by the tokens of its answer.", perTokenBuckets(), "litellm_model_name", "model_id", "api_provider"),
		overhead: k.histogram("litellm_overhead_latency_metric",
			"Seconds of isthmus's own work, by who answered.", ownBuckets(), "model_group", "api_provider", "litellm_model_name", "model_id"),
	}
}

type litellmSeries struct {
	requests, failed, cache                      prometheus.Counter
	input, output, total, cached, spend          prometheus.Counter
	latency, apiLatency, apiFirstToken, perToken prometheus.Observer
	overhead                                     prometheus.Observer
}

func (l *litellm) series(k requestKey) litellmSeries {
	d := &k.served
	model := []string{k.asked, d.Model, d.Deployment}
	status := strconv.Itoa(k.status)
	s := litellmSeries{requests: l.requests.WithLabelValues(k.asked, status)}
	if k.failed {
		s.failed = l.failed.WithLabelValues(k.asked, status, k.kind.Class(k.status))
	}
	switch k.cache {
	case "hit":
		s.cache = l.cacheHits.WithLabelValues(k.asked)
	case "miss":
		s.cache = l.cacheMisses.WithLabelValues(k.asked)
	}
	if d.Deployment == "" {
		return s
	}
	s.latency, s.apiLatency = l.latency.WithLabelValues(model...), l.apiLatency.WithLabelValues(model...)
	s.overhead = l.overhead.WithLabelValues(d.Group, d.Provider, d.Model, d.Deployment)
	if k.stream {
		s.apiFirstToken = l.apiFirstToken.WithLabelValues(model...)
	}
	if k.counted {
		s.input, s.output, s.total = l.input.WithLabelValues(model...), l.output.WithLabelValues(model...), l.total.WithLabelValues(model...)
		s.cached, s.spend = l.cached.WithLabelValues(model...), l.spend.WithLabelValues(model...)
		s.perToken = l.perToken.WithLabelValues(d.Model, d.Deployment, d.Provider)
	}
	return s
}

func (s *litellmSeries) observe(r *Request) {
	s.requests.Inc()
	if s.failed != nil {
		s.failed.Inc()
	}
	if s.cache != nil {
		s.cache.Inc()
	}
	if s.latency != nil {
		s.latency.Observe(r.Duration.Seconds())
		s.overhead.Observe(r.Own.Seconds())
	}
	if s.input == nil {
		return
	}
	t := &r.Tokens
	s.input.Add(float64(t.Prompt))
	s.output.Add(float64(t.Completion))
	s.total.Add(float64(t.Prompt + t.Completion))
	s.cached.Add(float64(t.Cached))
	s.spend.Add(r.Cost)
}

// answered counts the attempt that answered.
func (s *litellmSeries) answered(r *Request, a *Attempt) {
	if s.apiLatency == nil {
		return
	}
	s.apiLatency.Observe(a.Took.Seconds())
	if s.apiFirstToken != nil && a.FirstToken > 0 {
		s.apiFirstToken.Observe(a.FirstToken.Seconds())
	}
	if n := r.Tokens.Completion; s.perToken != nil && n > 0 {
		s.perToken.Observe(a.Took.Seconds() / float64(n))
	}
}
