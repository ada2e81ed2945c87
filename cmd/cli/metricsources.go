package cli

import "github.com/isthmus-proxy/isthmus/extproc/metrics"

// metricSources are the functions by which the metrics page reads the store of limits,
// the queue and the callbacks of these resources. Without a queue its series are absent;
// after a reload they are shown even so: a series that was there must not vanish.
func (r *resources) metricSources(queueEnabled bool) metrics.Sources {
	from := metrics.Sources{Sinks: r.sinks, Store: func() metrics.Store { return metrics.Store{Skipped: r.store.Skipped()} }}
	if queueEnabled || r.afterReload {
		from.Queue = func() metrics.Queue {
			return metrics.Queue{Length: r.limiter.Queued(), Capacity: r.limiter.QueueSize()}
		}
	}
	return from
}

// sinks returns the state of the callbacks' queues, summed by name: a callback of
// the user's own may have one queue for records and one for events.
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
