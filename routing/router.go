package routing

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Router chooses deployments. It is built from one configuration, never changed
// afterwards except for the load and health of its deployments, and safe for
// concurrent use.
type Router struct {
	deployments []*Deployment
	groups      map[string][]*Deployment
	patterns    []pattern
	aliases     map[string][]target
	models      []string // for /v1/models

	strategy      Strategy
	health        HealthPolicy
	numRetries    int
	maxFallbacks  int
	retryAfter    time.Duration
	fallbacks     map[string][]target
	defaults      []fallback
	contextWindow map[string][]string
	contentPolicy map[string][]string

	now   func() time.Time
	float func() float64
}

// fallback is one entry of the default fallbacks.
type fallback struct {
	group string // a model group, an alias; "" when model is set
	model string // no model_name: the failing group's own deployments, asked for this model
}

// maxAttempts bounds all attempts of one request, whatever is configured.
const maxAttempts = 20

// Deployments returns all deployments in the order of the configuration. The
// slice must not be changed.
func (r *Router) Deployments() []*Deployment { return r.deployments }

// Models returns the names a client may ask for, in the order of the
// configuration: model groups, wildcards and aliases. It must not be changed.
func (r *Router) Models() []string { return r.models }

// Has reports whether a client may ask for the name.
func (r *Router) Has(name string) bool { return len(r.resolve(name)) > 0 }

// Health is the state of a deployment now.
func (r *Router) Health(d *Deployment) Health { return d.health.snapshot(r.now(), r.health.Window) }

// Plan orders the attempts of a request. The error is an *upstream.Error for
// the client: there is no such model, or nobody can serve it now.
func (r *Router) Plan(call *Call) (*Plan, error) {
	asked := r.resolve(call.Request.Model)
	if len(asked) == 0 {
		return nil, chat.ModelNotFound(call.Request.Model)
	}
	targets := r.cascade(call, asked)
	p := &Plan{call: call, Name: r.spelt(call.Request.Model), targets: targets, Attempts: r.attemptCap(call, targets)}
	if err := r.extend(p, 0, stage{}); err != nil {
		return nil, err
	}
	if len(p.Hops) == 0 {
		return nil, r.unavailable(p)
	}
	p.Timeout = r.planTimeout(p)
	p.Hops[0].Deployment.health.probe(r.now())
	return p, nil
}

// cascade is the stages of a request: what it asked for, then its own
// fallbacks, then the configured ones. A stage is not repeated.
func (r *Router) cascade(call *Call, asked []target) []target {
	if call.DisableFallbacks {
		return asked
	}
	targets := slices.Clone(asked)
	fallen := 0
	add := func(more []target) {
		for _, t := range more {
			if fallen < r.maxFallbacks && !slices.ContainsFunc(targets, t.same) {
				targets = append(targets, t)
				fallen++
			}
		}
	}
	for _, name := range call.Fallbacks {
		add(r.resolve(name))
	}
	if len(call.Fallbacks) > 0 {
		return targets
	}
	for _, t := range asked {
		add(r.fallbacks[t.name])
	}
	for _, f := range r.defaults {
		if f.model == "" {
			add(r.resolve(f.group))
			continue
		}
		last := asked[len(asked)-1]
		add([]target{{group: last.group, name: last.name, model: f.model}})
	}
	return targets
}

func (t target) same(other target) bool { return t.name == other.name && t.model == other.model }

// attemptCap is how many attempts the whole cascade may take.
func (r *Router) attemptCap(call *Call, targets []target) int {
	n := 0
	for _, t := range targets {
		n += 1 + r.retries(call, t)
	}
	// A context-window or content-policy failure may lead to other groups.
	for _, names := range []map[string][]string{r.contextWindow, r.contentPolicy} {
		if len(names) > 0 {
			n = max(n, len(targets)+r.maxFallbacks)
		}
	}
	return min(n, maxAttempts)
}

// planTimeout is the time one attempt has: of the request, or the largest of
// the plan, since Envoy reads it once.
func (r *Router) planTimeout(p *Plan) time.Duration {
	if p.call.Timeout > 0 {
		return p.call.Timeout
	}
	var longest time.Duration
	for _, h := range p.Hops {
		longest = max(longest, h.Deployment.attemptTimeout(p.call.Request.Stream))
	}
	return longest
}

// unavailable is the error when no deployment of the cascade may be chosen.
func (r *Router) unavailable(p *Plan) *upstream.Error {
	now := r.now()
	var soonest time.Duration
	served := false
	for _, t := range p.targets {
		for _, d := range t.group {
			if !supports(d, p.call) {
				continue
			}
			served = true
			if wait := d.health.snapshot(now, r.health.Window).Until.Sub(now); wait > 0 && (soonest == 0 || wait < soonest) {
				soonest = wait
			}
		}
	}
	if !served {
		return upstream.BadRequest("model", "the model `"+p.call.Request.Model+"` does not support "+string(p.call.Request.Endpoint))
	}
	seconds := int(max(ceilSecond(soonest), time.Second) / time.Second)
	return &upstream.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "no_deployment_available",
		Message: "every deployment of `" + p.call.Request.Model + "` is cooling down after failures; try again in " + strconv.Itoa(seconds) + " s",
		Header:  upstream.Header{{Name: "retry-after", Value: strconv.Itoa(seconds)}},
	}
}

// Report tells health of a failed attempt.
func (r *Router) Report(h *Hop, f Failure) {
	h.Deployment.health.fail(r.now(), f, r.policy(h.Deployment), r.alone(h.Deployment))
}

// Answered tells health of an attempt whose answer is good.
func (r *Router) Answered(h *Hop) { h.Deployment.health.succeed() }

// alone reports whether a deployment is its group's only one.
func (r *Router) alone(d *Deployment) bool {
	if group, ok := r.groups[d.Group]; ok {
		return len(group) < 2
	}
	for _, p := range r.patterns {
		if p.name == d.Group {
			return len(p.group) < 2
		}
	}
	return true
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
	return p
}
