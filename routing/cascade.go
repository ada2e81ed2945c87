package routing

import "slices"

// target is one stage of a cascade: a model group, or a group whose deployments
// are asked for another model.
type target struct {
	group []*Deployment
	name  string
	model string // "" is each deployment's own
}

func (t target) same(other target) bool { return t.name == other.name && t.model == other.model }

// cascade is the stages of a request: what it asked for, then its own
// fallbacks, or else the configured ones. A stage is not repeated.
func (r *Router) cascade(call *Call, asked []target) []target {
	if call.DisableFallbacks {
		return asked
	}
	c := cascade{router: r, targets: slices.Clip(asked), room: r.maxFallbacks}
	for _, name := range call.Fallbacks {
		c.add(r.resolve(name), false)
	}
	if len(call.Fallbacks) > 0 {
		return c.targets
	}
	for _, t := range asked {
		c.add(r.fallbacks[t.name], true)
	}
	if name := call.requestModel(); len(asked) > 0 && asked[0].name != name {
		c.add(r.fallbacks[name], true) // of an alias
	}
	last := asked[len(asked)-1]
	for _, f := range r.defaults {
		if f.model == "" {
			c.add(r.resolve(f.group), false)
			continue
		}
		c.add([]target{{group: last.group, name: last.name, model: f.model}}, false)
	}
	return c.targets
}

// cascade collects stages.
type cascade struct {
	router  *Router
	targets []target
	room    int // fallbacks that may still be added
}

// add appends stages; deep adds behind each what its own group falls back to.
func (c *cascade) add(more []target, deep bool) {
	for _, t := range more {
		if c.room <= 0 || slices.ContainsFunc(c.targets, t.same) {
			continue
		}
		c.targets = append(c.targets, t)
		c.room--
		if deep {
			c.add(c.router.fallbacks[t.name], true)
		}
	}
}

// attemptCap is how many attempts the whole cascade may take.
func (r *Router) attemptCap(call *Call, targets []target) int {
	n := 0
	for _, t := range targets {
		n += 1 + r.mostRetries(call, t)
	}
	// A context-window or content-policy failure may lead to other groups.
	if !call.DisableFallbacks && len(r.contextWindow)+len(r.contentPolicy) > 0 {
		n = max(n, len(targets)+r.maxFallbacks)
	}
	return min(n, maxAttempts)
}

// mostRetries bounds the attempts after the first on a target, whatever class
// of failure they meet.
func (r *Router) mostRetries(call *Call, t target) int {
	n := r.retries(call, t)
	if n == 0 && call.NumRetries != nil {
		return 0
	}
	return max(n, r.policies.most(t.name))
}

// divert puts the fallbacks for a context-window or content-policy failure on
// target i in the place of what was to come, and reports whether there are any.
func (r *Router) divert(p *Plan, i int, verdict Verdict) bool {
	if p.call.DisableFallbacks {
		return false
	}
	special := r.contextWindow
	if verdict == ContentPolicy {
		special = r.contentPolicy
	}
	group := p.targets[i].name
	names, ok := special[group]
	if !ok {
		names = special["*"]
	}
	c := cascade{router: r, targets: p.targets[: i+1 : i+1], room: r.maxFallbacks}
	for _, name := range names {
		c.add(r.resolve(name), false)
	}
	if len(c.targets) == i+1 {
		return false
	}
	p.targets = c.targets
	return true
}
