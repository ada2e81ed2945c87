package routing

import (
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// Call is what routing must know of one request. It serves one Plan and is not
// safe for concurrent use.
type Call struct {
	Request  *chat.Request
	Received time.Time // when its time began to run; zero: when it is planned
	Tags     []string

	NumRetries       *int     // num_retries of the request; nil: as configured
	Fallbacks        []string // fallbacks of the request, before the configured ones
	DisableFallbacks bool
	Timeout          time.Duration // one attempt, of the request; 0: as configured
	StreamTimeout    time.Duration // the same when it streams; 0: Timeout

	// StreamClusters: the Envoy that asks has the StreamClusters of the deployments.
	StreamClusters bool

	text int // bytes of message text, plus 1; 0: not counted yet
}

// requestModel is the name asked for; a Call without a request has none.
func (c *Call) requestModel() string {
	if c.Request == nil {
		return ""
	}
	return c.Request.Model
}

// Hop is one attempt of a plan, made or still to come.
type Hop struct {
	Deployment *Deployment
	Translator *translate.Bound
	Model      string        // the provider's name of the model asked for
	Group      string        // the model group this hop serves
	Fallback   int           // groups given up before this one; 0 is the group asked for
	Cluster    string        // the Envoy upstream cluster of the attempt
	Timeout    time.Duration // this attempt: see Deployment.AttemptTimeout; 0: no bound
	// Again: the deployment was tried before in this request, so that a pause
	// before this hop makes sense.
	Again bool

	stream        bool          // the request streams
	clientTimeout bool          // the client set the attempt's time
	cooldownLeft  time.Duration // the deployment cools so long still: wait for it
}

// Plan is the ordered attempts of one request. Hop i is attempt i+1 and is
// served by the i-th group of Envoy's plan. A Plan belongs to one exchange and
// is not safe for concurrent use.
type Plan struct {
	Hops          []Hop
	Attempts      int           // cap on all attempts, fixed at the start: Envoy reads it once
	Timeout       time.Duration // the longest that an attempt of the plan may have, now or after a failure
	ClientTimeout bool          // Timeout is the request's own, and not one of the configuration's
	FirstToken    time.Duration // to a stream's first content, the longest that an attempt of the plan may have; 0: one has no bound
	Deadline      time.Time     // of all attempts together; zero: none

	Name string // the name asked for, as the configuration spells it (an alias, a group, a wildcard)

	Fixed bool // the order cannot change any more: see PlanFixed

	call     *Call
	targets  []target // the cascade
	excluded []exclusion
	budget   *retryBudget // of retries, shared by the requests for Name; nil: no bound

	pool   []*Deployment // what candidates found last
	opened bool          // a half-open one is among them
}

// exclusion keeps a deployment out of the rest of a plan: it would say the same again.
type exclusion struct {
	deployment *Deployment
	target     int // only there, where it is asked for that model; everyTarget
}

const everyTarget = -1

// exclude keeps the deployment of a hop out of the rest of the plan.
func (p *Plan) exclude(hop *Hop, from scope) {
	target := hop.Fallback
	if from == everywhere {
		target = everyTarget
	}
	p.excluded = append(p.excluded, exclusion{hop.Deployment, target})
}

func (p *Plan) isExcluded(d *Deployment, i int) bool {
	return slices.ContainsFunc(p.excluded, func(b exclusion) bool { return b.deployment == d && (b.target == i || b.target == everyTarget) })
}

// stage is where in the cascade planning stands.
type stage struct {
	target  int
	used    int // attempts planned or made on it
	allowed int // attempts on it; 0: as configured
}

// extend plans the hops that follow the n attempts already made, from stage s on.
func (r *Router) extend(p *Plan, n int, s stage, now time.Time) error {
	p.Hops = p.Hops[:n]
	for ; s.target < len(p.targets) && len(p.Hops) < p.Attempts; s = (stage{target: s.target + 1}) {
		if s.allowed == 0 {
			s.allowed = 1 + r.retries(p.call, p.targets[s.target])
		}
		before := len(p.Hops)
		if err := r.fill(p, n, s, now); err != nil {
			return err
		}
		if len(p.Hops) == before && s.used == 0 && r.tooSmall(p, s.target) {
			r.useSpecialFallbacks(p, s.target, tryLarger)
		}
	}
	return nil
}

// fill plans the hops of one stage. Each deployment that was not tried yet comes
// once before any comes again, and none comes twice in a row while there is
// another.
func (r *Router) fill(p *Plan, n int, s stage, now time.Time) error {
	t := p.targets[s.target]
	pool := r.candidates(p, s.target, len(p.Hops) == n, now)
	fresh := p.freshFirst(pool, s.target) // so many of the pool's front were not tried
	for again := false; s.used < s.allowed && len(pool) > 0 && len(p.Hops) < p.Attempts; s.used++ {
		if fresh == 0 {
			again, fresh = true, max(len(pool)-1, 1)
		}
		i := r.strategy.Pick(p.call, pool[:lowestOrder(pool[:fresh])])
		d := pool[i]
		if err := p.add(d, t, s.target, again); err != nil {
			return err
		}
		copy(pool[i:], pool[i+1:])
		pool[len(pool)-1] = d
		if fresh--; len(p.Hops) == n+1 && p.opened {
			pool = closed(pool, now)
			fresh = p.freshFirst(pool, s.target)
		}
	}
	return nil
}

// freshFirst puts the deployments that this request has not tried on target i in
// front, the last tried at the end, and returns how many were not tried.
func (p *Plan) freshFirst(pool []*Deployment, i int) int {
	if !slices.ContainsFunc(p.Hops, func(h Hop) bool { return h.Fallback == i }) {
		return len(pool)
	}
	slices.SortStableFunc(pool, func(a, b *Deployment) int { return p.lastTry(a, i) - p.lastTry(b, i) })
	n := 0
	for n < len(pool) && p.lastTry(pool[n], i) == 0 {
		n++
	}
	return n
}

// lastTry is the number of the last attempt of this request that used d on
// target i; 0 when none did.
func (p *Plan) lastTry(d *Deployment, i int) int {
	for n := len(p.Hops); n > 0; n-- {
		if h := &p.Hops[n-1]; h.Deployment == d && h.Fallback == i {
			return n
		}
	}
	return 0
}

// add appends one hop.
func (p *Plan) add(d *Deployment, t target, fallback int, again bool) error {
	model := t.model
	if model == "" && d.wildcard() {
		var err error
		if model, err = d.modelFor(t.name); err != nil {
			return err
		}
	}
	translator, err := d.translatorFor(model)
	if err != nil {
		return err
	}
	if model == "" {
		model = d.Model
	}
	h := Hop{Deployment: d, Translator: translator, Model: model, Group: t.name, Fallback: fallback, Again: again}
	h.Timeout, h.Cluster = p.attemptTimeout(d)
	if p.call.Request != nil {
		h.stream, h.clientTimeout = p.call.Request.Stream, p.ClientTimeout
	}
	if cap(p.Hops) == 0 {
		p.Hops = make([]Hop, 0, min(max(p.Attempts, 1), 8))
	}
	p.Hops = append(p.Hops, h)
	return nil
}

// tried reports whether an attempt of this request on target i used d.
func (p *Plan) tried(d *Deployment, i int) bool {
	return slices.ContainsFunc(p.Hops, func(h Hop) bool { return h.Deployment == d && h.Fallback == i })
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
