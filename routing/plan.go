package routing

import (
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// Call is what routing must know of one request.
type Call struct {
	Request *chat.Request
	Tags    []string

	NumRetries       *int     // num_retries of the request; nil: as configured
	Fallbacks        []string // fallbacks of the request, before the configured ones
	DisableFallbacks bool
	Timeout          time.Duration // one attempt, of the request; 0: as configured
}

// Hop is one attempt of a plan, made or still to come.
type Hop struct {
	Deployment *Deployment
	Translator *translate.Bound
	Model      string // the provider's name of the model asked for
	Group      string // the model group this hop serves
	Fallback   int    // groups given up before this one; 0 is the group asked for
	// Again: the deployment was tried before in this request, so that a pause
	// before this hop makes sense.
	Again bool
}

// Plan is the ordered attempts of one request. Hop i is attempt i+1 and is
// served by the i-th group of Envoy's plan. A Plan belongs to one exchange and
// is not safe for concurrent use.
type Plan struct {
	Hops     []Hop
	Attempts int           // cap on all attempts, fixed at the start: Envoy reads it once
	Timeout  time.Duration // one attempt to its response headers: the largest of the plan

	Name string // the name asked for, as the configuration spells it (an alias, a group, a wildcard)

	Fixed bool // the order cannot change any more: see PlanFixed

	call    *Call
	targets []target // the cascade
	barred  []*Deployment
}

// target is one stage of a cascade: a model group, or a group whose deployments
// are asked for another model.
type target struct {
	group []*Deployment
	name  string
	model string // "" is each deployment's own
}

// stage is where in the cascade planning stands.
type stage struct {
	target int
	used   int // attempts planned or made on it
}

// extend plans the hops that follow the n attempts already made, from stage s on.
func (r *Router) extend(p *Plan, n int, s stage) error {
	p.Hops = p.Hops[:n]
	now := r.now()
	for ; s.target < len(p.targets) && len(p.Hops) < p.Attempts; s = (stage{target: s.target + 1}) {
		t := p.targets[s.target]
		allowed := 1 + r.retries(p.call, t)
		usable := r.usable(p, t, now)
		fresh := slices.DeleteFunc(slices.Clone(usable), func(d *Deployment) bool { return p.tried(d, s.target) })
		for ; s.used < allowed && len(usable) > 0 && len(p.Hops) < p.Attempts; s.used++ {
			again := len(fresh) == 0
			if again {
				fresh = slices.Clone(usable)
			}
			i := r.strategy.Pick(lowestOrder(fresh))
			d := lowestOrder(fresh)[i]
			fresh = slices.DeleteFunc(fresh, func(x *Deployment) bool { return x == d })
			if err := p.add(d, t, s.target, again); err != nil {
				return err
			}
		}
	}
	return nil
}

// add appends one hop.
func (p *Plan) add(d *Deployment, t target, fallback int, again bool) error {
	model := t.model
	if model == "" && d.wildcard() {
		model = fillWildcard(t.name, d.Group, d.Model)
	}
	speaker, err := d.speaker(model)
	if err != nil {
		return err
	}
	if model == "" {
		model = d.Model
	}
	p.Hops = append(p.Hops, Hop{Deployment: d, Translator: speaker, Model: model, Group: t.name, Fallback: fallback, Again: again})
	return nil
}

// tried reports whether an attempt of this request on target i used d.
func (p *Plan) tried(d *Deployment, i int) bool {
	for _, h := range p.Hops {
		if h.Deployment == d && h.Fallback == i {
			return true
		}
	}
	return false
}

// usable returns the deployments of a target that may be chosen now.
func (r *Router) usable(p *Plan, t target, now time.Time) []*Deployment {
	var usable []*Deployment
	for _, d := range t.group {
		if d.health.available(now) && !slices.Contains(p.barred, d) && supports(d, p.call) {
			usable = append(usable, d)
		}
	}
	return usable
}

func supports(d *Deployment, call *Call) bool {
	return d.translator == nil || d.translator.Supports(call.Request.Endpoint)
}

// lowestOrder keeps the deployments with the smallest order. Those without one
// come after all that have one.
func lowestOrder(from []*Deployment) []*Deployment {
	best := 0
	for _, d := range from {
		if d.Order > 0 && (best == 0 || d.Order < best) {
			best = d.Order
		}
	}
	if best == 0 {
		return from
	}
	var out []*Deployment
	for _, d := range from {
		if d.Order == best {
			out = append(out, d)
		}
	}
	return out
}

// retries is how many attempts may follow the first on a target.
func (r *Router) retries(call *Call, t target) int {
	if call.NumRetries != nil {
		return max(*call.NumRetries, 0)
	}
	n := -1
	for _, d := range t.group {
		if d.NumRetries != nil {
			n = max(n, *d.NumRetries)
		}
	}
	if n >= 0 {
		return n
	}
	return r.numRetries
}

// Failed notes that attempt n (1-based) failed in this way and plans what
// follows it. It reports whether another attempt follows.
func (r *Router) Failed(p *Plan, n int, verdict Verdict) bool {
	if n < 1 || n > len(p.Hops) {
		return false
	}
	if p.Fixed {
		return p.fixedNext(n, verdict)
	}
	hop := p.Hops[n-1]
	s := stage{target: hop.Fallback, used: p.usedOn(hop.Fallback, n)}
	switch verdict {
	case Stop:
		p.Hops = p.Hops[:n]
		return false
	case RetryOther:
		p.barred = append(p.barred, hop.Deployment)
	case ContextWindow, ContentPolicy:
		if !r.divert(p, hop, verdict) {
			p.Hops = p.Hops[:n]
			return false
		}
		s = stage{target: hop.Fallback + 1}
	}
	if err := r.extend(p, n, s); err != nil {
		p.Hops = p.Hops[:n]
	}
	return len(p.Hops) > n
}

// usedOn counts the first n attempts that were made on target i.
func (p *Plan) usedOn(i, n int) int {
	used := 0
	for _, h := range p.Hops[:n] {
		if h.Fallback == i {
			used++
		}
	}
	return used
}

// divert puts the fallbacks for a context-window or content-policy failure in
// the place of what was to come, and reports whether there are any.
func (r *Router) divert(p *Plan, hop Hop, verdict Verdict) bool {
	if p.call.DisableFallbacks {
		return false
	}
	special := r.contextWindow
	if verdict == ContentPolicy {
		special = r.contentPolicy
	}
	names := special[hop.Group]
	if len(names) == 0 {
		names = special["*"]
	}
	targets := p.targets[: hop.Fallback+1 : hop.Fallback+1]
	for _, name := range names {
		if name != hop.Group {
			targets = append(targets, r.resolve(name)...)
		}
	}
	if len(targets) == hop.Fallback+1 {
		return false
	}
	p.targets = targets
	return true
}
