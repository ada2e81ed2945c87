package extproc

import (
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// sample is what the metrics count of an ended exchange.
func (rec *record) sample() *metrics.Request {
	o := &rec.outcome
	s := &metrics.Request{
		Endpoint: string(rec.endpoint), Operation: trace.Operation(rec.endpoint), Asked: rec.asked, Cache: string(rec.cache),
		Status: o.status, Aborted: o.ended != endedWhole, Failed: o.failure != nil || o.broken(), Stream: rec.stream,
		Duration: rec.took, FirstToken: rec.firstToken(), Own: rec.own,
		Fallbacks: rec.fallbacks(),
	}
	if o.failure != nil && len(rec.attempts) == 0 {
		if s.Code = o.failure.Code; s.Code == "" {
			s.Code = o.failure.Type
		}
	}
	if o.served != nil {
		s.Served, s.Cost = servedBy(o.served), cost(o.served.Deployment, o.result.Usage)
		u := &o.result.Usage
		s.Tokens = metrics.Tokens{
			Prompt: u.Prompt, Completion: u.Completion, Cached: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning, Estimated: o.result.Estimated,
		}
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		m := metrics.Attempt{Served: servedBy(&a.hop), Took: a.took}
		m.Outcome, m.Status = rec.ended(i)
		if i == len(rec.attempts)-1 && s.FirstToken > 0 {
			m.FirstToken = s.FirstToken - a.began.Sub(rec.started)
		}
		s.Attempts = append(s.Attempts, m)
	}
	return s
}

// servedBy names a hop by the configuration's words alone: a wildcard's group
// and model are as the configuration spells them, not as the client did.
func servedBy(h *routing.Hop) metrics.Served {
	d := h.Deployment
	return metrics.Served{Group: d.Group, Deployment: d.ID, Provider: d.Provider, System: translate.System(d.Provider), Model: d.Model}
}

// cost is what an answer cost, in USD; 0 when no price is known.
func cost(d *routing.Deployment, u chat.Usage) float64 {
	return float64(u.Prompt)*d.InputCost + float64(u.Completion)*d.OutputCost
}

// firstToken is when the first piece of a stream came: with its headers, as far
// as one can tell, where Envoy carries it past us.
func (rec *record) firstToken() time.Duration {
	if rec.outcome.relayed && rec.stream {
		return rec.outcome.firstByte
	}
	return rec.outcome.firstToken
}

// ended is how attempt i (from 0) ended, and the provider's status. What Envoy
// says of the answer at last is not yet in the attempt itself.
func (rec *record) ended(i int) (metrics.Outcome, int) {
	a, o := &rec.attempts[i], &rec.outcome
	switch {
	case a.reason == timedAnswer, !a.failed && a.status == 0 && a.reason != "":
		return metrics.TimedOut, a.status
	case a.failed && a.status == 0:
		return metrics.NoAnswer, 0
	case a.failed:
		return metrics.Failed, a.status
	case a.status > 0 && (o.ended == endedWhole || o.served == nil || i < len(rec.attempts)-1):
		return metrics.Good, a.status
	case i < len(rec.attempts)-1 || o.served == nil:
		return metrics.Abandoned, 0
	case o.ended == endedWhole:
		return metrics.Good, o.status
	case o.broken():
		return metrics.Failed, o.status
	}
	return metrics.Abandoned, o.status
}

// fallbacks are the steps from group to group that the attempts took.
func (rec *record) fallbacks() []metrics.Fallback {
	var out []metrics.Fallback
	stage, status := 0, 0
	for i := range rec.attempts {
		a := &rec.attempts[i]
		if a.hop.Fallback > stage {
			stage = a.hop.Fallback
			out = append(out, metrics.Fallback{To: a.hop.Deployment.Group, Status: status})
		}
		var outcome metrics.Outcome
		outcome, status = rec.ended(i)
		if len(out) > 0 && outcome == metrics.Good {
			out[len(out)-1].Good = true
		}
	}
	return out
}

// asked is the name asked for as the configuration spells it; "" when
// nobody serves it: a client's text is no label.
func (x *exchange) asked() string {
	if name := x.attempts.planName(); name != "" {
		return name
	}
	if x.request != nil && x.snapshot.router.Has(x.request.Model) {
		return x.snapshot.router.Spelt(x.request.Model)
	}
	return ""
}
