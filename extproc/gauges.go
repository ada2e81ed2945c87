package extproc

import (
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
)

// watch tells the metrics where the state of the service can be asked, at each
// scrape.
func (rt *Runtime) watch() {
	rt.metrics.Watch(metrics.Sources{Gateway: rt.gatewayMetrics, Deployments: rt.deploymentMetrics, Cache: rt.cacheMetrics})
}

func (rt *Runtime) gatewayMetrics() metrics.Gateway {
	s := rt.State()
	m := metrics.Gateway{
		Open: s.Open, Draining: s.Draining, Reloads: s.Reloads, Refused: s.Refusals, Outdated: !s.Refused.IsZero(),
		Loaded: time.Unix(0, rt.reloads.loaded.Load()), EnvoyRestarts: s.EnvoyRestarts,
	}
	if g := rt.Current(); g != nil {
		m.LeftOut = len(g.router.LeftOut())
	}
	return m
}

func (rt *Runtime) deploymentMetrics() []metrics.Deployment {
	g := rt.Current()
	if g == nil {
		return nil
	}
	now := time.Now()
	views := g.Deployments()
	out := make([]metrics.Deployment, len(views))
	for i := range views {
		d, s, m := views[i].Deployment, &views[i].State, &out[i]
		*m = metrics.Deployment{
			Group: d.Group, ID: d.ID, Provider: d.Provider, Model: d.Model, InFlight: s.InFlight, Cooldowns: s.Cooldowns,
			Requests: s.Used.Requests, Tokens: s.Used.Tokens, RPM: d.RPM, TPM: d.TPM,
		}
		switch s.Health {
		case "cooling":
			m.State, m.Cooling = metrics.Cooling, max(s.Until.Sub(now), 0)
		case "probing":
			m.State = metrics.Probing
		}
	}
	return out
}

func (rt *Runtime) cacheMetrics() metrics.Cache {
	g := rt.Current()
	if g == nil || g.cache == nil {
		return metrics.Cache{}
	}
	return cacheSample(g.cache.Stats())
}

func cacheSample(s cache.Stats) metrics.Cache {
	return metrics.Cache{
		Hits: s.Hits, Misses: s.Misses, Shared: s.Shared, Bypasses: s.Bypasses, LookupErrors: s.LookupErrors, Corrupt: s.Corrupt,
		StoreErrors: s.StoreErrors, Stores: s.Stores, Drops: s.Drops, Unstorable: s.Unstorable, StoredBytes: s.StoredBytes,
		Waiting: s.Waiting, LocalBytesHeld: s.LocalBytes,
	}
}
