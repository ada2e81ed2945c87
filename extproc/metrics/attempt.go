package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Attempt is one attempt of a request.
type Attempt struct {
	Served
	Outcome    Outcome
	Kind       upstream.Kind // of a failure; KindUnknown: it did not fail
	Status     int           // of the provider's answer; 0: none came
	Took       time.Duration // from its begin to its end
	FirstToken time.Duration // of a stream; 0: none
}

// Outcome is how an attempt ended.
type Outcome string

// The outcomes of attempts.
const (
	Good      Outcome = "good"
	Failed    Outcome = "failed"    // the provider answered with an error, or broke its answer off
	NoAnswer  Outcome = "no_answer" // refused or reset
	TimedOut  Outcome = "timed_out"
	Abandoned Outcome = "abandoned" // the client left before the end
)

// ErrorType is the GenAI conventions' error.type of an attempt that ended so, with
// this status of the provider's answer (0: none came); "" for a good one.
func (o Outcome) ErrorType(status int) string {
	switch {
	case o == Good:
		return ""
	case o == Failed && status >= 400:
		return strconv.Itoa(status)
	}
	return string(o)
}

// attempts are the instruments of attempts.
type attempts struct {
	count                      *prometheus.CounterVec
	duration                   *prometheus.HistogramVec
	requests, success, failure *prometheus.CounterVec // litellm_*
}

func newAttempts(k *maker) attempts {
	deployment := []string{"requested_model", "litellm_model_name", "model_id", "api_provider"}
	return attempts{
		count: k.counter("isthmus_attempts_total",
			"Attempts. outcome: good, failed, no_answer (refused or reset), timed_out, abandoned (the client left). status is the provider's; "+
				"0: none. kind is that of a failure, as docs/routing.md lists them.",
			"model_group", "deployment", "provider", "outcome", "status", "kind"),
		duration: k.histogram("isthmus_upstream_duration_seconds", "Attempts from their begin to their end.", durationBuckets(), "model_group",
			"deployment", "outcome"),
		requests: k.counter("litellm_deployment_total_requests_total", "Attempts.", deployment...),
		success:  k.counter("litellm_deployment_success_responses_total", "Attempts that answered.", deployment...),
		failure: k.counter("litellm_deployment_failure_responses_total",
			"Attempts that failed.", append(deployment, "exception_status", "exception_class")...),
	}
}

type attemptKey struct {
	asked   string
	served  Served
	outcome Outcome
	kind    upstream.Kind
	status  int
}

type attemptSeries struct {
	count, requests, result prometheus.Counter
	duration                prometheus.Observer
}

func (a *attempts) series(k attemptKey) *attemptSeries {
	d, status := &k.served, strconv.Itoa(k.status)
	kind := ""
	if k.kind != upstream.KindUnknown {
		kind = k.kind.String()
	}
	named := []string{k.asked, d.Model, d.Deployment, d.Provider}
	s := &attemptSeries{
		count:    a.count.WithLabelValues(d.Group, d.Deployment, d.Provider, string(k.outcome), status, kind),
		duration: a.duration.WithLabelValues(d.Group, d.Deployment, string(k.outcome)),
		requests: a.requests.WithLabelValues(named...),
	}
	switch k.outcome {
	case Good:
		s.result = a.success.WithLabelValues(named...)
	case Failed, NoAnswer, TimedOut:
		s.result = a.failure.WithLabelValues(append(named, exceptionStatus(k.status), k.kind.Class(k.status))...)
	}
	return s
}

func (m *Metrics) attempt(r *Request, a *Attempt) {
	s := m.tried.get(attemptKey{r.Asked, a.Served, a.Outcome, a.Kind, a.Status})
	s.count.Inc()
	s.duration.Observe(a.Took.Seconds())
	s.requests.Inc()
	if s.result != nil {
		s.result.Inc()
	}
}

// exceptionStatus is a status as LiteLLM's label has it: "" when there was none.
func exceptionStatus(status int) string {
	if status == 0 {
		return ""
	}
	return strconv.Itoa(status)
}
