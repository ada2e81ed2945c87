package admin

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// statusPage serves the status page and its data.
func (h *Handler) statusPage() http.Handler {
	return status.NewHandler(status.Options{
		Board:    status.NewBoard(h.overview, h.runtime.Recent(), time.Now),
		Draining: func() bool { return h.runtime.State().Draining },
		Refuse: func(w http.ResponseWriter, r *http.Request) bool {
			e := admit(h.runtime.Current(), r)
			if e != nil && w != nil {
				writeError(w, e)
			}
			return e != nil
		},
	})
}

// overview is the state of everything now.
func (h *Handler) overview() status.Snapshot {
	g, now := h.runtime.Current(), h.runtime.State()
	s := status.Snapshot{
		Gateway:     status.Gateway{Started: now.Started.UnixMilli(), Open: now.Open, Draining: now.Draining},
		Deployments: []status.Deployment{}, LeftOut: []status.LeftOut{}, Unenforced: g.Unenforced(),
		Limits: []status.Limit{}, Sinks: []status.Sink{}, Names: cascades(g.Router()),
	}
	for i, v := range g.Deployments() {
		s.Deployments = append(s.Deployments, shownDeployment(i, &v))
	}
	for _, l := range g.Router().LeftOut() {
		s.LeftOut = append(s.LeftOut, status.LeftOut(l))
	}
	if g.Cache() != nil {
		c := g.Cache().Stats()
		s.Cache = &status.Cache{
			Hits: c.Hits, Shared: c.Shared, Misses: c.Misses, Stores: c.Stores, Errors: c.LookupErrors + c.StoreErrors, Drops: c.Drops,
			Waiting: c.Waiting, Bytes: c.LocalBytes,
		}
	}
	if l := g.Limiter(); l != nil {
		s.Limits = shownLimits(l.Uses())
		if l.Queues() {
			s.Queue = &status.Queue{Waiting: int64(l.Queued()), Room: int64(l.QueueSize())}
		}
	}
	for _, c := range g.Sinks() {
		s.Sinks = append(s.Sinks, status.Sink{
			Name: c.Name, Sent: c.Sent, Retried: c.Retried, Dropped: c.Dropped, Queued: int64(c.Queued), Spilled: c.OnDisk,
		})
	}
	if f := h.figures.Load(); f != nil {
		s.Gateway.Version, s.Gateway.Envoy, s.Gateway.Strategy = f.Version, f.Envoy, f.Strategy
	}
	if !now.EnvoyDown.IsZero() {
		s.Gateway.Envoy += " (down, starting again)"
	}
	return s
}

func shownLimits(uses []limit.Use) []status.Limit {
	out := make([]status.Limit, 0, len(uses))
	for _, u := range uses {
		l := status.Limit{Of: u.Of, Name: u.Name, Unit: u.Unit, Used: u.Used, Limit: u.Limit}
		if u.Of == "caller" {
			l.Name = extproc.DescribeCaller(u.Name)
		}
		out = append(out, l)
	}
	return out
}

func shownDeployment(order int, v *extproc.DeploymentView) status.Deployment {
	d, now := v.Deployment, &v.State
	out := status.Deployment{
		ID: d.ID, Order: order, Group: d.Group, Provider: d.Provider, Model: d.Model, Tags: d.Tags,
		State: now.Health, Cause: now.Cause, InFlight: now.InFlight,
		Requests: now.Used.Requests, Tokens: now.Used.Tokens, Failures: now.Used.Failures, RPM: d.RPM, TPM: d.TPM,
		Input: v.Own.Input, Output: v.Own.Output, Running: v.Own.Running,
		ITPM: v.Own.ITPM, OTPM: v.Own.OTPM, MaxParallel: v.Own.MaxParallel,
	}
	if !now.Until.IsZero() {
		out.Until = now.Until.UnixMilli()
		if now.Repeated > 0 {
			out.Cause += ", again after " + strconv.Itoa(now.Repeated+1) + " cooldowns"
		}
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
