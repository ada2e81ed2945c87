package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// streams are the instruments of the ext_proc service.
type streams struct {
	opened, panics, relayed, broken, refused *prometheus.CounterVec
	duration                                 *prometheus.HistogramVec

	caught  *prometheus.CounterVec // panics beside streams
	entries *prometheus.CounterVec // of Envoy's access log, by outcome
}

func newStreams(k *maker) streams {
	s := streams{
		opened: k.counter("isthmus_extproc_streams_total", "gRPC streams opened by Envoy, by filter: request, retry, failure or opening.",
			"filter"),
		duration: k.histogram("isthmus_extproc_message_duration_seconds", "Time that isthmus took to answer a message, waits included.",
			ownBuckets(), "filter", "phase"),
		panics:  k.counter("isthmus_extproc_panics_total", "Requests that ended with a bug of isthmus.", "filter"),
		relayed: k.counter("isthmus_extproc_relayed_streams_total", "Streams handed on to the replica that owns their request.", "filter"),
		broken: k.counter("isthmus_extproc_protocol_errors_total",
			"Streams ended for a message that no Envoy sends: of a wrong kind, or at a wrong time.", "filter"),
		refused: k.counter("isthmus_extproc_refused_streams_total",
			"Streams refused before any message was read. reason: secret (none, or a wrong one), filter (it does not say which it is), "+
				"or draining (Envoy asks another replica).",
			"reason"),
		caught: k.counter("isthmus_panics_total", "Bugs of isthmus that were caught beside the answering of a message. where: in which work.",
			"where"),
		entries: k.counter("isthmus_access_log_relayed_entries_total",
			"Entries of Envoy's access log for requests of another replica. outcome: sent, or dropped: that replica is not known, or "+
				"takes too long.", "outcome"),
	}
	for _, reason := range []string{RefusedSecret, RefusedFilter, RefusedDraining} {
		s.refused.WithLabelValues(reason)
	}
	for _, outcome := range []string{"sent", "dropped"} {
		s.entries.WithLabelValues(outcome)
	}
	return s
}

// Filter is what is counted of the streams of one filter. The server of streams
// keeps it. It is safe for concurrent use.
type Filter struct {
	opened, panics, relayed, broken prometheus.Counter
	duration                        [wire.Phases]prometheus.Observer
}

// Filter returns the counters of the filter with this name.
func (m *Metrics) Filter(name string) *Filter {
	f := &Filter{
		opened: m.streams.opened.WithLabelValues(name), panics: m.streams.panics.WithLabelValues(name),
		relayed: m.streams.relayed.WithLabelValues(name),
		broken:  m.streams.broken.WithLabelValues(name),
	}
	for p := range wire.Phases {
		f.duration[p] = m.streams.duration.WithLabelValues(name, p.String())
	}
	return f
}

// Opened counts a stream.
func (f *Filter) Opened() { f.opened.Inc() }

// Panicked counts a stream that ended with a panic.
func (f *Filter) Panicked() { f.panics.Inc() }

// Broke counts a stream that was ended for a message out of order.
func (f *Filter) Broke() { f.broken.Inc() }

// Relayed counts a stream that another replica serves.
func (f *Filter) Relayed() { f.relayed.Inc() }

// Message counts a message and the time that its answer took.
func (f *Filter) Message(p wire.Phase, took time.Duration) { f.duration[p].Observe(took.Seconds()) }

// Reasons for which a stream is refused.
const (
	RefusedSecret = "secret"
	RefusedFilter = "filter"
	// RefusedDraining: a new request by a connection that was opened when the replica
	// should have none any more; Envoy asks another one.
	RefusedDraining = "draining"
)

// RefusedStream counts a stream that was refused before any message was read.
func (m *Metrics) RefusedStream(reason string) { m.streams.refused.WithLabelValues(reason).Inc() }

// Panicked counts a panic that was caught in some work beside the answering of
// messages; where is a constant.
func (m *Metrics) Panicked(where string) { m.streams.caught.WithLabelValues(where).Inc() }

// RelayedEntries counts entries of Envoy's access log that were sent to another
// replica, or could not be.
func (m *Metrics) RelayedEntries(sent bool, n int) {
	outcome := "sent"
	if !sent {
		outcome = "dropped"
	}
	m.streams.entries.WithLabelValues(outcome).Add(float64(n))
}
