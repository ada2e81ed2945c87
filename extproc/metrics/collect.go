package metrics

import "github.com/prometheus/client_golang/prometheus"

// page takes the samples of one scrape.
type page chan<- prometheus.Metric

func (p page) add(r reading, value float64, labels ...string) {
	p <- prometheus.MustNewConstMetric(r.desc, r.kind, value, labels...)
}

// Collect asks every source.
func (s *state) Collect(to chan<- prometheus.Metric) {
	p, from := page(to), s.sources.Load()
	to <- s.build
	if from.Gateway != nil {
		s.gateway.collect(p, from.Gateway())
	}
	if from.Deployments != nil {
		for _, d := range from.Deployments() {
			s.deployments.collect(p, &d)
		}
	}
	if from.Cache != nil {
		s.cache.collect(p, from.Cache())
	}
	if from.Queue != nil {
		q := from.Queue()
		p.add(s.queue.length, float64(q.Length))
		p.add(s.queue.capacity, float64(q.Capacity))
	}
	if from.Store != nil {
		for kind, n := range from.Store().Skipped {
			p.add(s.skipped, float64(n), kind)
		}
	}
	if from.Sinks != nil {
		for _, each := range from.Sinks() {
			s.sinks.collect(p, &each)
		}
	}
}

func (r *gatewayReadings) collect(p page, g Gateway) {
	p.add(r.open, float64(g.Open))
	p.add(r.draining, oneIf(g.Draining))
	p.add(r.leftOut, float64(g.LeftOut))
	p.add(r.reloads, float64(g.Reloads), "good")
	p.add(r.reloads, float64(g.Refused), "refused")
	p.add(r.loaded, float64(g.Loaded.UnixMilli())/1000)
	p.add(r.current, oneIf(!g.Outdated))
	p.add(r.restarts, float64(g.EnvoyRestarts))
}

func oneIf(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (r *deploymentReadings) collect(p page, d *Deployment) {
	p.add(r.inFlight, float64(d.InFlight), d.Group, d.ID, d.Provider)
	p.add(r.cooldowns, float64(d.Cooldowns), d.Group, d.ID, d.Provider)
	p.add(r.cooling, d.Cooling.Seconds(), d.Group, d.ID, d.Provider)
	p.add(r.used, float64(d.Requests), d.Group, d.ID, d.Provider, "requests")
	p.add(r.used, float64(d.Tokens), d.Group, d.ID, d.Provider, "tokens")
	if d.RPM > 0 {
		p.add(r.limit, float64(d.RPM), d.Group, d.ID, d.Provider, "requests")
	}
	if d.TPM > 0 {
		p.add(r.limit, float64(d.TPM), d.Group, d.ID, d.Provider, "tokens")
	}
	p.add(r.state, float64(d.State), d.Model, d.ID, d.Provider)
	p.add(r.cooled, float64(d.Cooldowns), d.Model, d.ID, d.Provider)
}

func (r *cacheReadings) collect(p page, c Cache) {
	p.add(r.lookups, float64(c.Hits), "hit")
	p.add(r.lookups, float64(c.Shared), "shared")
	p.add(r.lookups, float64(c.Misses), "miss")
	p.add(r.lookups, float64(c.Bypasses), "bypass")
	p.add(r.errors, float64(c.LookupErrors), "lookup")
	p.add(r.errors, float64(c.Corrupt), "corrupt")
	p.add(r.errors, float64(c.StoreErrors), "store")
	p.add(r.stores, float64(c.Stores))
	p.add(r.drops, float64(c.Drops))
	p.add(r.unstorable, float64(c.Unstorable))
	p.add(r.storedBytes, float64(c.StoredBytes))
	p.add(r.waiting, float64(c.Waiting))
	p.add(r.held, float64(c.LocalBytesHeld))
}

func (r *sinkReadings) collect(p page, s *Sink) {
	p.add(r.sent, float64(s.Sent), s.Name)
	p.add(r.retried, float64(s.Retried), s.Name)
	p.add(r.dropped, float64(s.Dropped), s.Name)
	p.add(r.spilled, float64(s.Spilled), s.Name)
	p.add(r.queued, float64(s.Queued), s.Name)
	p.add(r.queuedBytes, float64(s.QueuedBytes), s.Name)
	p.add(r.diskBytes, float64(s.DiskBytes), s.Name)
}
