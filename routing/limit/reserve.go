package limit

import (
	"context"
	"errors"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// atOnce is how many candidates the store is asked about in one question.
const atOnce = 8

// part is some of a request's candidates: those from one to before another, without
// those to be skipped.
type part struct {
	from, to int
	skip     []bool // by candidate; nil: none
}

func (p part) first() int {
	i := p.from
	for i < p.to && p.skip != nil && p.skip[i] {
		i++
	}
	return i
}

// reserveAny asks for the candidates, some at a time. The error is as Admit's.
func (l *Limiter) reserveAny(ctx context.Context, ask *Ask, skip []bool) (*Admission, error) {
	if len(ask.Candidates) == 0 {
		return nil, errors.New("admit a request: it has no candidate")
	}
	var all *Refused
	for from := 0; from < len(ask.Candidates); from += atOnce {
		p := part{from, min(from+atOnce, len(ask.Candidates)), skip}
		if p.first() == p.to {
			continue
		}
		a, err := l.reserve(ctx, ask, p)
		if err == nil {
			return a, nil
		}
		refused, ok := errors.AsType[*Refused](err)
		if !ok || refused.Everywhere {
			return nil, err
		}
		all = all.with(refused)
	}
	return nil, all
}

// reserve asks the store for the caller's limits, the global slot and the first candidate
// of the part with room, in one step; when none of them is limited the store is not asked.
// The error is as Admit's.
func (l *Limiter) reserve(ctx context.Context, ask *Ask, p part) (*Admission, error) {
	a := &Admission{limiter: l, id: ask.ID, model: ask.Model, size: ask.Size, chosen: -1}
	shared, caller := l.shared(ask)
	if first := p.first(); len(shared.windows) == 0 && len(shared.slots) == 0 && !l.limited(ask.Candidates[first]) {
		a.choose(first, l.deployment(ask.Candidates[first]))
		return a, nil
	}
	o := l.candidates(ask.Candidates, p, ask.Size)
	if len(o.demands) == 0 {
		return nil, tooLarge(ask.Model, o.smallest, o.over)
	}
	reply, err := l.acquire(ctx, &store.Request{ID: ask.ID, Shared: shared.demand(), Candidates: o.demands})
	if err != nil {
		return nil, err
	}
	if reply.Chosen >= 0 {
		a.request = reservation{charges: shared.charges, slots: shared.slots, second: reply.Second}
		a.reserved(o, &reply)
	}
	defer a.closeUnless(&reply)
	g := l.observe(&reply, shared.charges, o)
	if caller != nil {
		l.usage.observeCaller(ask.Caller, caller, shared.charges, reply.Usage)
	}
	if reply.Chosen < 0 {
		return nil, refusedBy(ask.Model, &shared, o, &reply, &g)
	}
	a.gauges, a.kept = g, true
	return a, nil
}

func (l *Limiter) limited(id string) bool {
	d := l.deployment(id)
	return d != nil && d.limited
}

// shared is what every candidate needs: the caller's limits and the global slot.
// The caller's tokens are estimated as the first candidate's. caller is the
// caller's budget; nil: it has none.
func (l *Limiter) shared(ask *Ask) (d draft, caller *keyedBudget) {
	newest := l.newest()
	if newest.global.parallel > 0 {
		d.add(&newest.global, estimate{})
	}
	if ask.Caller != "" && newest.caller != (Budget{}) {
		m := newKeyedBudget(callerName(ask.Caller), newest.caller)
		caller = &m
		d.add(caller, l.guess(ask.Candidates[0], ask.Size))
	}
	return d, caller
}

func (l *Limiter) guess(id string, s Size) estimate {
	if d := l.deployment(id); d != nil {
		return d.estimate.guess(s)
	}
	return new(estimator).guess(s)
}

// candidateSet is the candidates that can be charged, as the store is asked for them.
type candidateSet struct {
	demands  []store.Demand
	each     []candidate
	smallest int64     // the least input that was found too large
	over     []Reached // the limits that it is larger than
}

// candidate is one deployment that may serve the request.
type candidate struct {
	draft
	index int         // in the list of candidates
	on    *deployment // nil: not known, so without limits
}

// candidates lists the deployments with these ids down to the first without limits: that
// one always has room, so that those after it are never asked for.
func (l *Limiter) candidates(ids []string, p part, s Size) *candidateSet {
	o := &candidateSet{demands: make([]store.Demand, 0, p.to-p.from), each: make([]candidate, 0, p.to-p.from)}
	for i := p.from; i < p.to; i++ {
		if p.skip != nil && p.skip[i] {
			continue
		}
		c := candidate{index: i, on: l.deployment(ids[i])}
		if c.on != nil && c.on.limited {
			size := c.on.estimate.guess(s)
			over := c.on.own.exceeded(size)
			if c.on.group != nil {
				over = append(over, c.on.group.exceeded(size)...)
			}
			if len(over) > 0 {
				for _, limit := range over {
					o.over = appendReached(o.over, limit)
				}
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
