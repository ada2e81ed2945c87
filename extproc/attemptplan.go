package extproc

import (
	"slices"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
)

// follow sets the plan.
func (a *attempts) follow(p *routing.Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plan = p
}

// hop returns the hop of attempt n; not ok: there is none, or the request has ended.
func (a *attempts) hop(n int) (hop routing.Hop, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.plannedLocked(n) {
		return routing.Hop{}, false
	}
	return a.plan.Hops[n-1], true
}

// hopOn returns the hop of attempt n, which is on the deployment with this id: an
// Envoy that walks a fixed order may have passed over a deployment, and the plan is
// then changed to what happened. moved tells of that; an id that is in no hop is not
// ok. Without an id it is hop n.
func (a *attempts) hopOn(n int, id string) (hop routing.Hop, moved, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.plannedLocked(n) {
		return routing.Hop{}, false, false
	}
	hops, planned := a.plan.Hops, &a.plan.Hops[n-1]
	if id == "" || planned.Deployment.ID == id {
		return *planned, false, true
	}
	i := slices.IndexFunc(hops, func(h routing.Hop) bool { return h.Deployment.ID == id })
	if i < 0 {
		return routing.Hop{}, false, false
	}
	if a.attemptLocked(n).running {
		a.router.Done(planned, routing.Outcome{}) // it was never asked
		a.router.Begin(&hops[i])
	}
	if i >= n {
		hops[i], *planned = *planned, hops[i] // it may still be tried
	} else {
		*planned = hops[i] // a second try; what was before stays
	}
	return *planned, true, true
}

// choices are the deployments that may serve what comes after attempt n.
func (a *attempts) choices(n int) []routing.Choice {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil || n >= len(a.plan.Hops) {
		return nil
	}
	return a.router.Choices(a.plan, n)
}

// take makes a choice the hop of attempt n, and passes over what the plan had before
// it. It reports whether there is such a hop; an attempt that has begun keeps its own.
func (a *attempts) take(n int, c routing.Choice) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plannedLocked(n) && n > len(a.made) && a.router.Take(a.plan, n-1, c) == nil
}

// planMetadata is the plan as Envoy is told of it now.
func (a *attempts) planMetadata() wire.Metadata {
	a.mu.Lock()
	defer a.mu.Unlock()
	return replan(a.plan)
}

// planName is the name asked for as the configuration spells it; "" without a plan.
func (a *attempts) planName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil {
		return ""
	}
	return a.plan.Name
}
