package cli

import (
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// watch tells the metrics where the state of the queue and the callbacks can be
// asked.
func (r *resources) watch(m *metrics.Metrics, c *config.Config) {
	from := metrics.Sources{Sinks: r.sinks}
	if c.Limits.QueueEnabled || r.later {
		from.Queue = func() metrics.Queue {
			return metrics.Queue{Length: r.limiter.Queued(), Capacity: r.limiter.QueueSize()}
		}
	}
	m.Watch(from)
}

// sinks are the queues of the callbacks, one for each name: a callback of the
// user's own may have one for records and one for events.
func (r *resources) sinks() []metrics.Sink {
	var out []metrics.Sink
	at := map[string]int{}
	for _, q := range r.callbacks.Stats() {
		i, seen := at[q.Name]
		if !seen {
			i = len(out)
			at[q.Name] = i
			out = append(out, metrics.Sink{Name: q.Name})
		}
		s := &out[i]
		s.Sent += q.Sent
		s.Retried += q.Retried
		s.Dropped += q.Dropped
		s.Spilled += q.Spilled
		s.Queued += int64(q.Queued)
		s.QueuedBytes += int64(q.Bytes)
		s.DiskBytes += q.OnDisk
	}
	return out
}
