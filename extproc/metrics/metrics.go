package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the instruments of the request path. Safe for concurrent use.
type Metrics struct {
	streams   *prometheus.CounterVec
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	firstByte *prometheus.HistogramVec
	tokens    *prometheus.CounterVec
	attempts  *prometheus.CounterVec
}

// Request is one ended request.
type Request struct {
	Endpoint, Group, Deployment, Provider string
	Status, Attempts                      int
	Duration, FirstByte                   time.Duration
	Prompt, Completion                    int64
	Aborted                               bool
}

// New makes the instruments and registers them.
func New(reg prometheus.Registerer) *Metrics {
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
		reg.MustRegister(h)
		return h
	}
	return &Metrics{
		streams:   counter("isthmus_extproc_streams_total", "gRPC streams opened by Envoy, by filter.", "filter"),
		requests:  counter("isthmus_requests_total", "Ended requests.", "endpoint", "model_group", "deployment", "status"),
		duration:  histogram("isthmus_request_duration_seconds", "From the request's headers to its end.", "endpoint", "model_group"),
		firstByte: histogram("isthmus_time_to_first_byte_seconds", "From the request's headers to the answer's.", "endpoint", "model_group"),
		tokens:    counter("isthmus_tokens_total", "Tokens as the providers counted them.", "model_group", "deployment", "kind"),
		attempts:  counter("isthmus_attempts_total", "Attempts made, by requests that ended.", "model_group"),
	}
}

// Stream counts a stream opened by one of the filters.
func (m *Metrics) Stream(filter string) { m.streams.WithLabelValues(filter).Inc() }

// Request counts an ended request.
func (m *Metrics) Request(r Request) {
	status := strconv.Itoa(r.Status)
	if r.Aborted {
		status = "aborted"
	}
	m.requests.WithLabelValues(r.Endpoint, r.Group, r.Deployment, status).Inc()
	m.duration.WithLabelValues(r.Endpoint, r.Group).Observe(r.Duration.Seconds())
	if r.FirstByte > 0 {
		m.firstByte.WithLabelValues(r.Endpoint, r.Group).Observe(r.FirstByte.Seconds())
	}
	if r.Attempts > 0 {
		m.attempts.WithLabelValues(r.Group).Add(float64(r.Attempts))
	}
	m.tokens.WithLabelValues(r.Group, r.Deployment, "prompt").Add(float64(r.Prompt))
	m.tokens.WithLabelValues(r.Group, r.Deployment, "completion").Add(float64(r.Completion))
}
