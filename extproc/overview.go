package extproc

import (
	"net/http"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// Figures are what the status page shows and only others know. Each may be left
// out.
type Figures struct {
	Version  string // of isthmus
	Envoy    string // version of the Envoy in front; "": unknown
	Strategy string // of routing
}

// Show puts figures on the status page.
func (rt *Runtime) Show(f Figures) { rt.figures.Store(&f) }

// statusPage serves the status page and its data.
func (rt *Runtime) statusPage() http.Handler {
	return status.NewHandler(status.Options{
		Board:    status.NewBoard(rt.overview, rt.recent, time.Now),
		Draining: rt.drain.Load,
		Refuse: func(w http.ResponseWriter, r *http.Request) bool {
			e := rt.Current().admits(r)
			if e != nil && w != nil {
				writeJSON(w, e.Status, e.JSON())
			}
			return e != nil
		},
	})
}

// overview is the state of everything now.
func (rt *Runtime) overview() status.Snapshot {
	g := rt.Current()
	s := status.Snapshot{
		Gateway:     status.Gateway{Started: rt.started.UnixMilli(), Open: rt.Open(), Draining: rt.drain.Load()},
		Deployments: []status.Deployment{}, LeftOut: []status.LeftOut{}, Unenforced: g.unenforced, Limits: []status.Limit{}, Sinks: []status.Sink{},
		Names: cascades(g.router),
	}
	for i, d := range g.router.Deployments() {
		s.Deployments = append(s.Deployments, g.shownDeployment(i, d))
	}
	for _, l := range g.router.LeftOut() {
		s.LeftOut = append(s.LeftOut, status.LeftOut(l))
	}
	if g.cache != nil {
		c := g.cache.Stats()
		s.Cache = &status.Cache{
			Hits: c.Hits, Shared: c.Shared, Misses: c.Misses, Stores: c.Stores, Errors: c.LookupErrors + c.StoreErrors, Drops: c.Drops,
			Waiting: c.Waiting, Bytes: c.LocalBytes,
		}
	}
	if l := g.limiter; l != nil {
		s.Limits = shownLimits(l.Uses())
		if l.Queues() {
			s.Queue = &status.Queue{Waiting: int64(l.Queued()), Room: int64(l.QueueSize())}
		}
	}
	for _, c := range g.callbacks.Stats() {
		s.Sinks = append(s.Sinks, status.Sink{Name: c.Name, Sent: c.Sent, Retried: c.Retried, Dropped: c.Dropped, Queued: int64(c.Queued), Spilled: c.OnDisk})
	}
	if f := rt.figures.Load(); f != nil {
		s.Gateway.Version, s.Gateway.Envoy, s.Gateway.Strategy = f.Version, f.Envoy, f.Strategy
	}
	if rt.front.away() {
		s.Gateway.Envoy += " (down, starting again)"
	}
	return s
}

func shownLimits(uses []limit.Use) []status.Limit {
	out := make([]status.Limit, 0, len(uses))
	for _, u := range uses {
		l := status.Limit{Of: u.Of, Name: u.Name, Unit: u.Unit, Used: u.Used, Limit: u.Limit}
		if u.Of == "caller" {
			l.Name = shownCaller(u.Name)
		}
		out = append(out, l)
	}
	return out
}

// shownCaller is how people are told of a caller.
func shownCaller(caller string) string {
	switch caller {
	case sharedCaller:
		return "everybody"
	case unnamedCaller:
		return "without a name"
	}
	return caller
}

func (g *Snapshot) shownDeployment(order int, d *routing.Deployment) status.Deployment {
	now, own := g.router.State(d), g.own(d)
	out := status.Deployment{
		ID: d.ID, Order: order, Group: d.Group, Provider: d.Provider, Model: d.Model, Tags: d.Tags,
		State: now.Health, Cause: now.Cause, InFlight: now.InFlight,
		Requests: now.Used.Requests, Tokens: now.Used.Tokens, Failures: now.Used.Failures, RPM: d.RPM, TPM: d.TPM,
		Input: own.Input, Output: own.Output, Running: own.Running, ITPM: own.ITPM, OTPM: own.OTPM, MaxParallel: own.MaxParallel,
	}
	if !now.Until.IsZero() {
		out.Until = now.Until.UnixMilli()
	}
	return out
}

// cascades are the names that lead to more than the group of that name.
func cascades(router *routing.Router) []status.Name {
	out := []status.Name{}
	for i, name := range slices.Sorted(slices.Values(router.Names())) {
		stages := router.Cascade(name)
		if len(stages) == 1 && stages[0].Group == name {
			continue
		}
		n := status.Name{Name: name, Order: i, Alias: len(stages) > 0 && stages[0].Group != name}
		for _, s := range stages {
			n.Stages = append(n.Stages, status.Stage(s))
		}
		out = append(out, n)
	}
	return out
}

// ids are those of the deployments of a router.
func ids(router *routing.Router) []string {
	var out []string
	for _, d := range router.Deployments() {
		out = append(out, d.ID)
	}
	return out
}
