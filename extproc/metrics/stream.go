package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Phase is what a message of Envoy's is about.
type Phase int

// The phases, in the order of a request's life.
const (
	RequestHeaders Phase = iota
	RequestBody
	ResponseHeaders
	ResponseBody
	ResponseTrailers
	phases
)

func (p Phase) String() string {
	return [phases]string{"request_headers", "request_body", "response_headers", "response_body", "response_trailers"}[p]
}

// streams are the instruments of the ext_proc service.
type streams struct {
	opened, panics, relayed *prometheus.CounterVec
	duration                *prometheus.HistogramVec
}

func newStreams(k *maker) streams {
	return streams{
		opened:   k.counter("isthmus_extproc_streams_total", "gRPC streams opened by Envoy, by filter: request, retry or failure.", "filter"),
		duration: k.histogram("isthmus_extproc_message_duration_seconds", "Time that isthmus took to answer a message, waits included.", ownBuckets(), "filter", "phase"),
		panics:   k.counter("isthmus_extproc_panics_total", "Requests that ended with a bug of isthmus.", "filter"),
		relayed:  k.counter("isthmus_extproc_relayed_streams_total", "Streams handed on to the replica that owns their request.", "filter"),
	}
}

// Filter is what is counted of the streams of one filter. Whoever serves streams
// keeps it. It is safe for concurrent use.
type Filter struct {
	opened, panics, relayed prometheus.Counter
	duration                [phases]prometheus.Observer
}

// Filter returns the counters of the filter with this name.
func (m *Metrics) Filter(name string) *Filter {
	f := &Filter{
		opened: m.streams.opened.WithLabelValues(name), panics: m.streams.panics.WithLabelValues(name), relayed: m.streams.relayed.WithLabelValues(name),
	}
	for p := range phases {
		f.duration[p] = m.streams.duration.WithLabelValues(name, p.String())
	}
	return f
}

// Opened counts a stream.
func (f *Filter) Opened() { f.opened.Inc() }

// Panicked counts a stream that ended with a panic.
func (f *Filter) Panicked() { f.panics.Inc() }

// Relayed counts a stream that another replica serves.
func (f *Filter) Relayed() { f.relayed.Inc() }

// Message counts a message and the time that its answer took.
func (f *Filter) Message(p Phase, took time.Duration) { f.duration[p].Observe(took.Seconds()) }
