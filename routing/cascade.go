package routing

import "slices"

// target is one stage of a cascade: a model group, or a group whose deployments
// are asked for another model.
type target struct {
	group []*Deployment
	name  string
	model string // "" is each deployment's own
}

// modelName is the model_name of the stage's group: the name asked for, or the
// wildcard that serves it.
func (t target) modelName() string { return t.group[0].Group }

// after is the stage when it follows another. A wildcard that stands in a cascade as
// it is written is asked for what the stars of the stage before it stood for. ok is
// false when that is no name: then the stage is as it was.
func (t target) after(from target) (stage target, ok bool) {
	pattern := t.group[0].names
	if t.model != "" || pattern.Stars() == 0 || t.name != pattern.String() {
		return t, true
	}
	captures, _ := from.group[0].names.Captures(from.name)
	name, ok := pattern.Fill(captures, from.name)
	if ok {
		t.name = name
	}
	return t, ok
}

// settingOf is what a setting that is keyed by model group says of a stage: under
// the name asked for, else under the wildcard that serves it.
func settingOf[V any](settings map[string]V, t target) (V, bool) {
	if v, ok := settings[t.name]; ok {
		return v, true
	}
	v, ok := settings[t.modelName()]
	return v, ok
}

func (t target) same(other target) bool {
	return t.name == other.name && t.model == other.model && t.modelName() == other.modelName()
}

// cascade is the stages of a request: what it asked for, then its own
// fallbacks, or else the configured ones. A stage is not repeated.
func (r *Router) cascade(call *Call, asked []target) []target {
	if call.DisableFallbacks {
		return asked
	}
	c := cascade{router: r, targets: slices.Clip(asked), remaining: min(r.maxFallbacks, maxAttempts)}
	for _, name := range call.Fallbacks {
		c.add(r.resolve(name), asked[0], false)
	}
	if len(call.Fallbacks) > 0 {
		return c.targets
	}
	for _, t := range asked {
		more, _ := settingOf(r.fallbacks, t)
		c.add(more, t, true)
	}
	if name := call.requestModel(); len(asked) > 0 && asked[0].name != name {
		c.add(r.fallbacks[name], asked[0], true) // of an alias
	}
	last := asked[len(asked)-1]
	for _, f := range r.defaults {
		if f.model == "" {
			c.add(r.resolve(f.group), last, false)
			continue
		}
		c.add([]target{{group: last.group, name: last.name, model: f.model}}, last, false)
	}
	return c.targets
}

// cascade collects stages.
type cascade struct {
	router    *Router
	targets   []target
	remaining int // fallbacks that may still be added
}

// add appends stages that follow another; deep adds behind each what its own group
// falls back to.
func (c *cascade) add(more []target, from target, deep bool) {
	for _, t := range more {
		t, ok := t.after(from)
		if !ok || c.remaining <= 0 || slices.ContainsFunc(c.targets, t.same) {
			continue
		}
		c.targets = append(c.targets, t)
		c.remaining--
		if deep {
			own, _ := settingOf(c.router.fallbacks, t)
			c.add(own, t, true)
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
	return max(n, r.policies.most(t.name, t.modelName()))
}

// MayFollow reports whether another attempt may follow the first of a plan, though none
// need be planned yet: a policy for some class of failure retries where num_retries does
// not, and some failures lead to groups of their own.
func (r *Router) MayFollow(p *Plan) bool {
	if p.Fixed || len(p.Hops) != 1 || p.Attempts < 2 {
		return len(p.Hops) > 1
	}
	asked := p.targets[p.Hops[0].Fallback]
	return len(p.targets) > 1 || r.mostRetries(p.call, asked) > 0 ||
		!p.call.DisableFallbacks && len(specialFallbacks(r.contextWindow, asked))+len(specialFallbacks(r.contentPolicy, asked)) > 0
}

// specialFallbacks are the fallbacks of one class of failure on a target: its own, or else
// those of "*".
func specialFallbacks(settings map[string][]string, t target) []string {
	if names, ok := settingOf(settings, t); ok {
		return names
	}
	return settings["*"]
}

// useSpecialFallbacks puts the fallbacks for a context-window or content-policy failure on
// target i in the place of what was to come, and reports whether there are any.
func (r *Router) useSpecialFallbacks(p *Plan, i int, after remedy) bool {
	if p.call.DisableFallbacks {
		return false
	}
	special := r.contextWindow
	if after == tryOtherPolicy {
		special = r.contentPolicy
	}
	failed := p.targets[i]
	c := cascade{router: r, targets: p.targets[: i+1 : i+1], remaining: min(r.maxFallbacks, maxAttempts)}
	for _, name := range specialFallbacks(special, failed) {
		c.add(r.resolve(name), failed, false)
	}
	if len(c.targets) == i+1 {
		return false
	}
	p.targets = c.targets
	return true
}
