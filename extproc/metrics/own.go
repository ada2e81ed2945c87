package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// own are the request's metrics that have no other name in the field.
type own struct {
	count, tokens, refused, fallback *prometheus.CounterVec
	overhead, queueWait              *prometheus.HistogramVec
}

func newOwn(k *maker) own {
	return own{
		count: k.counter("isthmus_requests_total",
			"Ended requests. status is what the client got; aborted: it left, or the answer broke off.", "endpoint", "model_group", "deployment",
			"status"),
		tokens: k.counter("isthmus_tokens_total",
			"Tokens by kind: cached and cache_write are parts of prompt, reasoning of completion. estimated: the provider did not report all.",
			"model_group", "deployment", "kind", "estimated"),
		refused: k.counter("isthmus_refused_total",
			"Requests that isthmus refused: before any attempt, or at the limits of the next one. By the error's code. "+
				"limit: whose it was; deployment, model, tenant or gateway.",
			"requested_model", "status", "code", "limit"),
		fallback: k.counter("isthmus_fallbacks_total",
			"Groups given up for another (model_group) within a request. outcome: good or failed.", "requested_model", "model_group", "outcome"),
		overhead: k.histogram("isthmus_overhead_seconds", "isthmus's own work for a request, over all its filters, waits excluded.",
			ownBuckets(), "endpoint"),
		queueWait: k.histogram("isthmus_queue_wait_seconds",
			"Waits for a slot. outcome: admitted, refused or left. limit: whose slot; deployment, model, tenant or gateway.",
			durationBuckets(), "requested_model", "outcome", "limit"),
	}
}

// tokenKinds are in the order of Tokens.byKind.
func tokenKinds() [5]string {
	return [5]string{"prompt", "completion", "cached", "cache_write", "reasoning"}
}

func (t *Tokens) byKind() [5]int64 {
	return [5]int64{t.Prompt, t.Completion, t.Cached, t.CacheWrite, t.Reasoning}
}

type ownSeries struct {
	count, refused prometheus.Counter
	overhead       prometheus.Observer
	tokens         [5]prometheus.Counter
}

func (o *own) series(k requestKey) ownSeries {
	status := strconv.Itoa(k.status)
	if k.aborted {
		status = "aborted"
	}
	s := ownSeries{
		count:    o.count.WithLabelValues(k.endpoint, k.group(), k.served.Deployment, status),
		overhead: o.overhead.WithLabelValues(k.endpoint),
	}
	if k.code != "" {
		s.refused = o.refused.WithLabelValues(k.asked, status, k.code, k.limit)
	}
	if k.counted {
		for n, kind := range tokenKinds() {
			s.tokens[n] = o.tokens.WithLabelValues(k.group(), k.served.Deployment, kind, strconv.FormatBool(k.estimated))
		}
	}
	return s
}

func (s *ownSeries) observe(r *Request) {
	s.count.Inc()
	s.overhead.Observe(r.Own.Seconds())
	if s.refused != nil {
		s.refused.Inc()
	}
	if s.tokens[0] == nil {
		return
	}
	for n, v := range r.Tokens.byKind() {
		if v > 0 {
			s.tokens[n].Add(float64(v))
		}
	}
}

// fallback counts one step of a cascade. Only requests that failed somewhere
// have any.
func (m *Metrics) fallback(r *Request, f Fallback) {
	outcome, named := "failed", m.litellm.fallbackFailed
	if f.Good {
		outcome, named = "good", m.litellm.fallbackGood
	}
	m.own.fallback.WithLabelValues(r.Asked, f.To, outcome).Inc()
	named.WithLabelValues(r.Asked, f.To, exceptionStatus(f.Status)).Inc()
}
