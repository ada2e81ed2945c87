package extproc

import (
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// What others may see of the service: package admin, and the metrics (gauges.go).

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
