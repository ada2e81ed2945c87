package routing

import (
	"time"

	"github.com/isthmus-proxy/isthmus/routing/wildcard"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// Router chooses deployments. It is built from one configuration, never changed
// afterwards except for the load and health of its deployments, and safe for
// concurrent use.
type Router struct {
	deployments []*Deployment
	byID        map[string]*Deployment
	leftOut     []LeftOut
	groups      map[string][]*Deployment
	patterns    []pattern
	aliases     map[string][]target
	models      []string // for /v1/models
	named       []string // settings name them, and only wildcards serve them; sorted

	strategy       Strategy
	health         HealthPolicy
	numRetries     int
	maxFallbacks   int
	retryAfter     time.Duration
	requestTimeout time.Duration
	blocking       timeouts      // of one attempt of a request that does not stream
	streaming      timeouts      // and of one that does
	firstTokens    time.Duration // the longest TTFTTimeout; 0: a deployment has none
	policies       policies
	budgets        map[string]*retryBudget // by the name asked for, as spelt
	fallbacks      map[string][]target
	defaults       []fallback
	contextWindow  map[string][]string
	contentPolicy  map[string][]string
	tags           tagRules
	checkWindow    bool

	limits  Limits
	usage   Usage
	peers   Peers
	changes chan change // cooldowns for the CooldownSharer

	now   func() time.Time
	float func() float64
}

// LeftOut is a deployment of the configuration that is not served.
type LeftOut struct {
	Group  string
	Reason string
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

// Deployment returns the one with this id, or nil.
func (r *Router) Deployment(id string) *Deployment { return r.byID[id] }

// LeftOut returns the deployments that the configuration has and that cannot be
// served. The slice must not be changed.
func (r *Router) LeftOut() []LeftOut { return r.leftOut }

// Models returns the names a client may ask for, in the order of the
// configuration: model groups, wildcards and aliases. It must not be changed.
func (r *Router) Models() []string { return r.models }

// Has reports whether a client may ask for the name.
func (r *Router) Has(name string) bool { return len(r.resolve(name)) > 0 }

// Plan orders the attempts of a request. The error is an *upstream.Error for
// the client: there is no such model, or no deployment can serve it now.
func (r *Router) Plan(call *Call) (*Plan, error) { return r.plan(call, true) }

// plan is Plan. counted: the request counts in its retry budget, as it does once.
func (r *Router) plan(call *Call, counted bool) (*Plan, error) {
	asked := r.resolve(call.Request.Model)
	if len(asked) == 0 {
		return nil, r.noSuchModel(call.Request.Model)
	}
	now := r.now()
	targets := r.cascade(call, asked)
	p := &Plan{call: call, Name: r.ConfiguredName(call.Request.Model), targets: targets, Attempts: r.attemptCap(call, targets),
		Deadline: r.deadline(call, now)}
	r.setTimeout(p)
	p.budget = r.budgets[p.Name]
	if p.budget != nil && counted {
		p.budget.request(now)
	}
	if err := r.first(p, now); err != nil {
		return nil, err
	}
	return p, nil
}

// Replan plans all attempts of a plan anew, before the first was made: what it
// counted on has changed. The error is as Plan's, and leaves the plan without
// hops.
func (r *Router) Replan(p *Plan, call *Call) error {
	if !p.Fixed {
		return r.first(p, r.now())
	}
	again, err := r.planFixed(call, false)
	if err == nil {
		*p = *again
	}
	return err
}

// first plans all attempts. When another request takes the probe of the
// half-open deployment that was chosen, it plans again.
func (r *Router) first(p *Plan, now time.Time) error {
	for range 3 {
		if err := r.extend(p, 0, stage{}, now); err != nil {
			return err
		}
		if len(p.Hops) == 0 {
			return r.unavailable(p, now)
		}
		if p.Hops[0].Deployment.health.claim(now, 0) {
			break
		}
	}
	return nil
}

// deadline is when the request's time is up; zero: never.
func (r *Router) deadline(call *Call, now time.Time) time.Time {
	switch {
	case r.requestTimeout <= 0:
		return time.Time{}
	case call.Received.IsZero():
		return now.Add(r.requestTimeout)
	}
	return call.Received.Add(r.requestTimeout)
}

// noSuchModel is the error for a name that nothing serves. A name that is only
// served by deployments left out is not the client's mistake.
func (r *Router) noSuchModel(name string) error {
	for _, l := range r.leftOut {
		if l.Group == name || wildcard.New(l.Group).Matches(name) {
			return unservable("the model `"+name+"` cannot be served: "+l.Reason, "deployment_left_out", 0)
		}
	}
	return chat.ModelNotFound(name)
}
