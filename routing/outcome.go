package routing

import (
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Outcome is how an attempt ended.
type Outcome struct {
	Failed bool // it gave the client nothing, or not the whole answer
	// Status is that of the provider's answer; 0 when none came. An attempt
	// that neither failed nor has a status says nothing about its deployment:
	// the client left before the answer.
	Status     int
	Kind       upstream.Kind // of a failure; KindUnknown: as KindServer
	Nowhere    bool          // there was no host to send it to: its name does not resolve
	RetryAfter time.Duration // what the provider asked for; 0 when nothing
	Reason     string        // of a failure: short, for logs and the health report

	Total              time.Duration // from the attempt's begin to its end
	Prompt, Completion int64         // tokens, as far as known
}

// Begin notes that the attempt of a hop starts. Each Begin has one Done.
func (r *Router) Begin(h *Hop) {
	now := r.now()
	d := h.Deployment
	d.inFlight.Add(1)
	d.meter.add(now, Used{Requests: 1})
	d.health.begin(now)
}

// Answered notes that a good answer has begun: that the first of a stream has come
// that carries something of it, this long after the attempt began, or a blocking answer
// whole. firstToken is 0 when it is not known: see [Router.FirstToken]. Answered may be
// left out, and comes before Done: what it tells is worth knowing before a long answer
// ends.
func (r *Router) Answered(h *Hop, firstToken time.Duration) {
	if h.Deployment.health.succeed(r.now()) {
		r.announce(change{store.Cooldown{Deployment: h.Deployment.ID}})
	}
	if firstToken > 0 {
		r.FirstToken(h, firstToken)
	}
}

// FirstToken notes how long after its attempt's begin a stream began, when that became
// known after Answered, or after Done.
func (r *Router) FirstToken(h *Hop, took time.Duration) {
	if h.stream {
		h.Deployment.pace.firstToken.add(took.Seconds(), r.now())
	}
}

// Done notes how the attempt of a hop ended: it gives back what Begin took and
// tells health, pace and usage. It is called once per Begin, the moment the end
// is known, for every attempt of a cascade.
func (r *Router) Done(h *Hop, o Outcome) {
	now := r.now()
	d := h.Deployment
	d.inFlight.Add(-1)
	used := Used{Tokens: o.Prompt + o.Completion}
	switch {
	case o.Failed && r.isDeploymentFault(h, o):
		used.Failures = 1
		d.meter.add(now, used)
		d.pace.failed(now, o.Total)
		r.countFailure(d, o, now)
		return
	case o.Failed || o.Status == 0:
		d.health.endProbe()
		if used.Tokens > 0 {
			used.Ended = 1
		}
	default:
		used.Ended = 1
		if !h.stream {
			d.pace.answered(now, o.Total, o.Completion)
		}
	}
	if used != (Used{}) {
		d.meter.add(now, used)
	}
}

// NoteErrorBehind200 notes that the blocking answer to the attempt of a hop was an error, or
// empty, behind a 2xx status, or that it broke off.
func (r *Router) NoteErrorBehind200(h *Hop) { h.Deployment.behind200.Store(r.now().Unix()) }

// behind200Time is for how long after an error behind a good status others are expected.
const behind200Time = time.Hour

// ExpectsErrorBehind200 reports whether a deployment of the plan has lately answered a request that
// does not stream with an error behind a good status.
func (r *Router) ExpectsErrorBehind200(p *Plan) bool {
	for i := range p.Hops {
		if at := p.Hops[i].Deployment.behind200.Load(); at > 0 && r.now().Sub(time.Unix(at, 0)) < behind200Time {
			return true
		}
	}
	return false
}

// Used adds tokens of an attempt that became known after its end.
func (r *Router) Used(h *Hop, tokens int64) {
	h.Deployment.meter.add(r.now(), Used{Tokens: tokens})
}

// Cut notes, after Done, that the answer of an attempt was not whole: that speaks
// against its deployment.
func (r *Router) Cut(h *Hop, kind upstream.Kind, reason string) {
	now := r.now()
	h.Deployment.meter.add(now, Used{Failures: 1})
	r.countFailure(h.Deployment, Outcome{Failed: true, Kind: kind, Reason: reason}, now)
}

// used is how much a deployment was used in the last minute; requests and tokens
// by all replicas, when Options.Usage is set.
func (r *Router) used(d *Deployment) Used {
	used := d.meter.used(r.now())
	if r.usage != nil {
		used.Requests, used.Tokens = r.usage.Used(d.ID)
	}
	return used
}

// tokensEach is how many tokens an attempt on the deployment has taken lately; 0:
// it is not known.
func (r *Router) tokensEach(d *Deployment) float64 {
	used := d.meter.used(r.now())
	if used.Ended == 0 {
		return 0
	}
	return float64(used.Tokens) / float64(used.Ended)
}
