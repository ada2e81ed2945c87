package routing

import (
	"slices"
	"time"
)

// Choice is a deployment that may serve the next attempt of a plan.
type Choice struct {
	Deployment *Deployment
	Group      string // the model group, or the name that a wildcard serves, as in Hop
	target     int
	claimed    bool // half open, and kept for this plan
}

// Choice is the choice of the hop's own deployment.
func (h *Hop) Choice() Choice {
	return Choice{Deployment: h.Deployment, Group: h.Group, target: h.Fallback}
}

// Planned is the choice that the plan itself has for the attempt that follows the n made.
func (r *Router) Planned(p *Plan, n int) Choice {
	c := p.Hops[n].Choice()
	c.claimed = c.Deployment.health.phase(r.now()) != healthy // since it was planned
	return c
}

// Usable reports whether a choice made a while ago may still be taken: whether its
// deployment does not cool down, and is not tried by another request after a cooldown. It
// is safe for concurrent use.
func (r *Router) Usable(c Choice) bool {
	switch c.Deployment.health.phase(r.now()) {
	case cooling:
		return false
	case probing:
		return c.claimed
	}
	return true
}

// maxChoices bounds how many deployments are looked at for one attempt.
const maxChoices = 64

// Choices lists the deployments that may serve the attempt that follows the n made,
// each once, in the order in which they are to be asked for room: those of the plan,
// and behind the ones of each group those that it has no attempt for, half-open ones
// last. A full deployment that is passed over costs no attempt. The plan has an attempt
// n+1.
func (r *Router) Choices(p *Plan, n int) []Choice {
	now := r.now()
	var all []Choice
	listed := func(d *Deployment) bool {
		return slices.ContainsFunc(all, func(c Choice) bool { return c.Deployment == d })
	}
	tried := func(d *Deployment, i int) bool {
		return slices.ContainsFunc(p.Hops[:n], func(h Hop) bool { return h.Deployment == d && h.Fallback == i })
	}
	planned := p.Hops[n:]
	if p.Fixed {
		planned = planned[:1] // the others stand there whatever their health
	}
	for i := planned[0].Fallback; i < len(p.targets) && len(all) < maxChoices; i++ {
		for _, h := range planned {
			if h.Fallback == i && !listed(h.Deployment) {
				all = append(all, h.Choice())
			}
		}
		if i == planned[0].Fallback {
			all[0] = r.Planned(p, n)
		}
		if p.Fixed && n > 0 {
			break // Envoy walks on by itself
		}
		pool := slices.DeleteFunc(r.candidates(p, i, true, now), func(d *Deployment) bool { return listed(d) || tried(d, i) })
		for len(pool) > 0 && len(all) < maxChoices {
			n := healthyFirst(pool, now)
			k := r.strategy.Pick(p.call, pool[:lowestOrder(pool[:n])])
			all = append(all, Choice{Deployment: pool[k], Group: p.targets[i].name, target: i})
			pool = slices.Delete(pool, k, k+1)
		}
	}
	return all
}

// healthyFirst puts the healthy deployments of a pool in front and returns how many they
// are; when none is, all are as good.
func healthyFirst(pool []*Deployment, now time.Time) int {
	n := 0
	for i, d := range pool {
		if d.health.phase(now) == healthy {
			pool[n], pool[i] = pool[i], pool[n]
			n++
		}
	}
	if n == 0 {
		return len(pool)
	}
	return n
}

// Take makes a choice the hop that follows the n attempts made. What the plan had
// before it is passed over. A half-open deployment is kept for it.
func (r *Router) Take(p *Plan, n int, c Choice) error {
	if !c.claimed {
		c.Deployment.health.claim(r.now(), 0)
	}
	at := slices.IndexFunc(p.Hops[n:], func(h Hop) bool { return h.Deployment == c.Deployment && h.Fallback == c.target })
	if at == 0 || at > 0 && !p.Fixed {
		p.Hops = slices.Delete(p.Hops, n, n+at)
		return nil
	}
	s := stage{target: c.target, used: p.usedOn(c.target, n) + 1, allowed: p.usedOn(c.target, len(p.Hops))}
	p.Hops = p.Hops[:n]
	if err := p.add(c.Deployment, p.targets[c.target], c.target, false); err != nil {
		return err
	}
	if p.Fixed {
		return r.fix(p)
	}
	return r.extend(p, n+1, s, r.now())
}
