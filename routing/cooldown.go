package routing

import (
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// This file decides when a deployment cools down, and for how long; health.go keeps the
// cooldown, cooldown_share.go tells other replicas of it.

// HealthPolicy says when failures cool a deployment down.
type HealthPolicy struct {
	AllowedFails int            // the n-th failure within Window cools down; 0 is as 1
	ByClass      map[string]int // error class → the same for it, which is then counted by itself; nil: for none
	Window       time.Duration  // how long a failure counts
	Cooldown     time.Duration  // how long a deployment stays away; 0 = never cool
	MaxCooldown  time.Duration  // bound of a provider's Retry-After
	MaxGrown     time.Duration  // bound of a cooldown that follows others; one of Cooldown is never cut
}

// threshold is the class that a failure counts under, how many of it cool down, and
// whether this one does alone. A class that has a number of its own is counted, also
// where its failures would cool at once.
func (p *HealthPolicy) threshold(o Outcome) (c class, allowed int, atOnce bool) {
	c = classOf(o.Kind)
	if n, ok := p.ByClass[string(c)]; ok {
		return c, max(n, 1), o.Nowhere
	}
	return classDefault, max(p.AllowedFails, 1), o.Nowhere || effectsOf(o.Kind).health == cools
}

// grown is the length of a cooldown that follows so many others: each is twice as
// long as the one before.
func (p *HealthPolicy) grown(repeats int) time.Duration {
	pause := p.Cooldown
	for range repeats {
		if pause >= p.MaxGrown {
			break
		}
		pause *= 2
	}
	return max(min(pause, p.MaxGrown), p.Cooldown)
}

// isDeploymentFault reports whether a failure speaks against the deployment, and not
// against the request.
func (r *Router) isDeploymentFault(h *Hop, o Outcome) bool {
	switch {
	case o.Kind == upstream.KindTimeout && o.Status == 0 && h.clientTimeout: // no answer within the client's own time
		return false
	case o.Kind == upstream.KindModelNotFound && h.Model != h.Deployment.Model:
		return false // a model name that the request or a fallback made up
	}
	return effectsOf(o.Kind).health != ignored
}

// frequentFailures is the share of a minute's attempts above which failures
// cool a deployment even when good answers come between them.
const frequentFailures = 0.1

// countFailure counts a failure against a deployment's health. One that is its group's
// only one is not cooled: the provider's own error is worth more to the client
// than a 503 of ours. It is when its host has no address: there is no such error
// then, and Envoy, which does not retry that, would never come to the fallbacks.
func (r *Router) countFailure(d *Deployment, o Outcome, now time.Time) {
	p := r.policy(d)
	if p.Cooldown <= 0 || d.alone && !o.Nowhere {
		d.health.endProbe()
		return
	}
	used := d.meter.used(now)
	frequent := float64(used.Failures) >= frequentFailures*float64(used.Requests)
	if d.health.fail(now, o, &p, frequent) {
		d.cooldowns.Add(1)
		until, cause := d.health.cooldown()
		r.announce(change{store.Cooldown{Deployment: d.ID, Until: until, Cause: cause}})
	}
}

// policy is the health policy of a deployment.
func (r *Router) policy(d *Deployment) HealthPolicy {
	p := r.health
	if d.allowedFails != nil {
		p.AllowedFails = *d.allowedFails
	}
	if d.cooldown != nil {
		p.Cooldown = *d.cooldown
	}
	if d.failsByClass != nil {
		p.ByClass = d.failsByClass
	}
	if d.alone {
		p.MaxGrown = 0 // nothing else serves in the meantime
	}
	return p
}
