package extproc

import (
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// What others may see of the service: package admin, and the metrics.

// State is what a Runtime is doing, whatever its configuration says.
type State struct {
	Started  time.Time
	Open     int64 // requests that have not ended
	Draining bool

	Loaded   time.Time // when the configuration in force was put in force
	Refused  time.Time // when a later one came that cannot be used; zero: none has
	Reloads  int64     // how often a changed configuration was put in force
	Refusals int64     // how often one could not be used

	// Of the Envoy that this process runs, if it does.
	EnvoyRestarts int64
	EnvoyDown     time.Time // since when it does not serve; zero: it serves
}

// State is the state now.
func (rt *Runtime) State() State {
	return State{
		Started: rt.started, Open: rt.open.Load(), Draining: rt.drain.Load(),
		Loaded: atUnixNano(rt.reloads.loaded.Load()), Refused: atUnixNano(rt.reloads.refused.Load()),
		Reloads: rt.reloads.good.Load(), Refusals: rt.reloads.useless.Load(),
		EnvoyRestarts: rt.envoy.ends.Load(), EnvoyDown: atUnixNano(rt.envoy.down.Load()),
	}
}

// atUnixNano is a time in Unix nanoseconds; the zero time for 0.
func atUnixNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// Recent are the last requests that have ended.
func (rt *Runtime) Recent() *status.History { return rt.recent }

// DeploymentView is a deployment of a configuration and what it is doing at one
// moment.
type DeploymentView struct {
	Deployment *routing.Deployment
	State      routing.State
	Own        limit.Own // its limits besides rpm and tpm, of all replicas; zero: it has none
}

// Deployments are all deployments of the configuration, in its order, as they are
// now.
func (g *Snapshot) Deployments() []DeploymentView {
	all := g.router.Deployments()
	out := make([]DeploymentView, len(all))
	for i, d := range all {
		out[i] = DeploymentView{Deployment: d, State: g.router.State(d)}
		if g.limiter != nil {
			out[i].Own = g.limiter.Own(d.ID)
		}
	}
	return out
}

// Router is the routing of the configuration.
func (g *Snapshot) Router() *routing.Router { return g.router }

// Cache is the response cache; nil: there is none.
func (g *Snapshot) Cache() *cache.Cache { return g.cache }

// Limiter holds the limits; nil: there are none.
func (g *Snapshot) Limiter() *limit.Limiter { return g.limiter }

// Sinks is what became of the records, by sink.
func (g *Snapshot) Sinks() []callback.Stats { return g.callbacks.Stats() }

// Unenforced names what the configuration restricts and isthmus does not enforce.
func (g *Snapshot) Unenforced() []string { return g.unenforced }

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
