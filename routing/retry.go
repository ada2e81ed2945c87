package routing

import (
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure is one failed attempt, as far as what follows it goes.
type Failure struct {
	Kind  upstream.Kind // KindUnknown: as KindServer
	Asked time.Duration // how long the provider asks to be left alone; 0: it does not say
}

// Next is what follows a failed attempt.
type Next struct {
	Retry bool
	Pause time.Duration // before the next attempt; whole seconds
}

// Failed plans what follows attempt n (1-based), which failed in this way. When
// nothing does, the plan ends with that attempt. It is called after Done, so
// that the deployment is cooled before the next one is chosen.
func (r *Router) Failed(p *Plan, n int, f Failure) Next {
	if n < 1 || n > len(p.Hops) {
		return Next{}
	}
	now := r.now()
	next := r.replan(p, &failed{n: n, Failure: f, now: now})
	if next.Retry && !r.may(p, next.Pause, now) {
		next = Next{}
	}
	if !next.Retry && !p.Fixed {
		p.Hops = p.Hops[:n]
	}
	return next
}

// Lost is Failed for an attempt that got no answer (refused, reset, timed out):
// Envoy has taken the next hop of the plan already. It reports whether that one
// may be made.
func (r *Router) Lost(p *Plan, n int) bool {
	return n >= 1 && n < len(p.Hops) && r.may(p, 0, r.now())
}

// may reports whether deadline and budget allow another attempt after a pause.
func (r *Router) may(p *Plan, pause time.Duration, now time.Time) bool {
	if !p.Deadline.IsZero() && !now.Add(envoyPause(pause)).Before(p.Deadline) {
		return false
	}
	return p.budget == nil || p.budget.take(now)
}

// failed is a failed attempt while what follows it is planned.
type failed struct {
	Failure
	n   int // the attempt, 1-based
	now time.Time
}

// replan puts the hops that follow a failed attempt into the plan.
func (r *Router) replan(p *Plan, f *failed) Next {
	e := effectsOf(f.Kind)
	hop := &p.Hops[f.n-1]
	allowed, named := r.retriesAfter(p.call, hop, classOf(f.Kind))
	s := stage{target: hop.Fallback, used: p.usedOn(hop.Fallback, f.n), allowed: 1 + allowed}
	if p.Fixed {
		return r.fixedNext(p, f, e.remedy, named && s.used < s.allowed)
	}
	retried := named && s.used < s.allowed
	switch {
	case e.remedy == tryOthers:
		p.exclude(hop, e.beyond)
	case retried || e.remedy == tryAny:
	case e.remedy == tryNone:
		return Next{}
	case !r.useSpecialFallbacks(p, hop.Fallback, e.remedy):
		return Next{}
	default:
		s = stage{target: hop.Fallback + 1}
	}
	return r.follow(p, s, f)
}

// follow extends the plan from a stage on and says with which pause. Where the
// pause before the same deployment would be too long, the next stage follows.
func (r *Router) follow(p *Plan, s stage, f *failed) Next {
	for {
		if err := r.extend(p, f.n, s, f.now); err != nil {
			return Next{}
		}
		if len(p.Hops) == f.n && !r.awaitHealth(p, f.n, s, f.now) {
			return Next{}
		}
		pause, ok := r.pause(p, f)
		next := &p.Hops[f.n]
		if ok && next.Deployment.health.claim(f.now, pause) {
			return Next{Retry: true, Pause: pause}
		}
		if !ok || next.cooldownLeft > 0 { // one request waits for it, no more
			s = stage{target: next.Fallback + 1}
		}
		if s.target >= len(p.targets) {
			return Next{}
		}
	}
}

// awaitHealth plans the deployment of a stage that comes back first when none
// is healthy and nothing else follows, and reports whether there is one.
func (r *Router) awaitHealth(p *Plan, n int, s stage, now time.Time) bool {
	if s.used >= s.allowed || s.target >= len(p.targets) || n >= p.Attempts {
		return false
	}
	t := p.targets[s.target]
	rule := r.tags.rule(p.call.Tags, t.group)
	var chosen *Deployment
	var soonest time.Time
	for _, d := range t.group {
		if !rule.allows(d) || !r.fits(d, p.call) || !supports(d, p.call) || p.isExcluded(d, s.target) || d.health.phase(now) != cooling {
			continue
		}
		if until, _ := d.health.cooldown(); chosen == nil || until.Before(soonest) {
			chosen, soonest = d, until
		}
	}
	if chosen == nil || p.add(chosen, t, s.target, true) != nil {
		return false
	}
	p.Hops[n].cooldownLeft = soonest.Sub(now)
	return true
}
