package limit

import (
	"context"
	"errors"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// reserve asks the store for the caller's limits, the global slot and the first candidate
// with room, in one step; when none of them is limited the store is not asked. The error
// is as Admit's.
func (l *Limiter) reserve(ctx context.Context, ask *Ask) (*Admission, error) {
	if len(ask.Candidates) == 0 {
		return nil, errors.New("admit a request: it has no candidate")
	}
	a := &Admission{limiter: l, id: ask.ID, model: ask.Model, size: ask.Size, chosen: -1}
	shared, caller := l.shared(ask)
	if len(shared.windows) == 0 && len(shared.slots) == 0 && !l.limited(ask.Candidates[0]) {
		a.choose(0, l.byID[ask.Candidates[0]])
		return a, nil
	}
	o := l.candidates(ask.Candidates, ask.Size)
	if len(o.demands) == 0 {
		return nil, tooLarge(ask.Model, o.smallest)
	}
	reply, err := l.store.Acquire(ctx, &store.Request{ID: ask.ID, Shared: shared.demand(), Candidates: o.demands})
	if err != nil {
		return nil, err
	}
	g := l.observe(&reply, shared.charges, o)
	if caller != nil {
		l.usage.observeCaller(ask.Caller, caller, shared.charges, reply.Usage)
	}
	if reply.Chosen < 0 {
		for i := range min(len(shared.charges), len(reply.Usage)) {
			if reply.Usage[i].Wait > 0 {
				return nil, refusedToCaller(reply.Wait, &g)
			}
		}
		return nil, refusedBy(ask.Model, &reply, &g)
	}
	a.gauges = g
	a.request = reservation{charges: shared.charges, slots: shared.slots, second: reply.Second}
	a.reserved(o, &reply)
	return a, nil
}

func (l *Limiter) limited(id string) bool {
	d := l.byID[id]
	return d != nil && d.limited
}

// shared is what every candidate needs: the caller's limits and the global slot.
// The caller's tokens are estimated as the first candidate's. caller is the
// caller's budget; nil: it has none.
func (l *Limiter) shared(ask *Ask) (d draft, caller *keyedBudget) {
	if l.global.parallel > 0 {
		d.add(&l.global, estimate{})
	}
	if ask.Caller != "" && l.caller != (Budget{}) {
		m := newKeyedBudget(callerName(ask.Caller), l.caller)
		caller = &m
		d.add(caller, l.guess(ask.Candidates[0], ask.Size))
	}
	return d, caller
}

func (l *Limiter) guess(id string, s Size) estimate {
	if d := l.byID[id]; d != nil {
		return d.estimate.guess(s)
	}
	return new(estimator).guess(s)
}

// candidateSet is the candidates that can be charged, as the store is asked for them.
type candidateSet struct {
	demands  []store.Demand
	each     []candidate
	smallest int64 // the least input that was found too large
}

// candidate is one deployment that may serve the request.
type candidate struct {
	draft
	index int         // in the list of candidates
	on    *deployment // nil: not known, so without limits
}

// candidates lists the deployments with these ids down to the first without limits: that
// one always has room, so that those after it are never asked for.
func (l *Limiter) candidates(ids []string, s Size) *candidateSet {
	o := &candidateSet{demands: make([]store.Demand, 0, len(ids)), each: make([]candidate, 0, len(ids))}
	for i, id := range ids {
		c := candidate{index: i, on: l.byID[id]}
		if c.on != nil && c.on.limited {
			size := c.on.estimate.guess(s)
			if !c.on.own.fits(size) || c.on.group != nil && !c.on.group.fits(size) {
				if o.smallest == 0 || size.input < o.smallest {
					o.smallest = size.input
				}
				continue
			}
			c.draft = c.on.draft(size)
		}
		o.demands = append(o.demands, c.demand())
		o.each = append(o.each, c)
		if len(c.windows) == 0 && len(c.slots) == 0 {
			break
		}
	}
	return o
}

// draft is what the deployment and its group want of a request.
func (d *deployment) draft(size estimate) draft {
	n := d.own.windows
	if d.group != nil {
		n += d.group.windows
	}
	out := draft{windows: make([]store.Window, 0, n), charges: make([]charge, 0, n)}
	out.add(&d.own, size)
	out.add(d.group, size)
	return out
}

// observe keeps the states of windows that a reply has, for the strategies. It returns the
// tightest of those that the request was charged in, or refused by.
func (l *Limiter) observe(reply *store.Reply, shared []charge, o *candidateSet) gauges {
	var g gauges
	now := l.now()
	rest := reply.Usage
	for _, c := range shared {
		if len(rest) == 0 {
			return g
		}
		g.note(c, rest[0])
		rest = rest[1:]
	}
	for i := range o.each {
		for _, c := range o.each[i].charges {
			if len(rest) == 0 {
				return g
			}
			o.each[i].on.observe(c, rest[0], now)
			if reply.Chosen < 0 || reply.Chosen == i {
				g.note(c, rest[0])
			}
			rest = rest[1:]
		}
	}
	return g
}
