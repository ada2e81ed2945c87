package routing

import "slices"

// Choice is a deployment that may serve the first attempt of a plan.
type Choice struct {
	Deployment *Deployment
	target     int
}

// maxChoices bounds how many deployments are looked at for one request.
const maxChoices = 64

// Choices lists the deployments that may serve the first attempt of a plan, each
// once, in the order in which they are to be asked for room: those of the plan,
// and behind the ones of each group those that it has no attempt for. A full
// deployment that is passed over costs no attempt.
func (r *Router) Choices(p *Plan) []Choice {
	now := r.now()
	var all []Choice
	listed := func(d *Deployment) bool {
		return slices.ContainsFunc(all, func(c Choice) bool { return c.Deployment == d })
	}
	planned := p.Hops
	if p.Fixed {
		planned = p.Hops[:1] // the others stand there whatever their health
	}
	for i := p.Hops[0].Fallback; i < len(p.targets) && len(all) < maxChoices; i++ {
		for _, h := range planned {
			if h.Fallback == i && !listed(h.Deployment) {
				all = append(all, Choice{h.Deployment, i})
			}
		}
		pool := slices.DeleteFunc(r.candidates(p, i, true, now), func(d *Deployment) bool {
			return listed(d) || d.health.phase(now) != healthy
		})
		for len(pool) > 0 && len(all) < maxChoices {
			k := r.strategy.Pick(p.call, pool[:lowestOrder(pool)])
			all = append(all, Choice{pool[k], i})
			pool = slices.Delete(pool, k, k+1)
		}
	}
	return all
}

// Take makes a choice the first hop of the plan, before any attempt was made. What
// the plan had before it is passed over.
func (r *Router) Take(p *Plan, c Choice) error {
	at := slices.IndexFunc(p.Hops, func(h Hop) bool { return h.Deployment == c.Deployment && h.Fallback == c.target })
	if at == 0 || at > 0 && !p.Fixed {
		p.Hops = p.Hops[at:]
		return nil
	}
	p.Hops = nil
	if err := p.add(c.Deployment, p.targets[c.target], c.target, false); err != nil {
		return err
	}
	if p.Fixed {
		return r.fix(p)
	}
	if err := r.extend(p, 1, stage{target: c.target, used: 1}, r.now()); err != nil {
		return err
	}
	p.Timeout = max(p.Timeout, r.planTimeout(p))
	return nil
}
