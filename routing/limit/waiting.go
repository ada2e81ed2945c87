package limit

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Admit reserves the first candidate that has room. The error is a *Refused, or ctx's
// when that is over. While requests wait in the queue, one that comes later takes nothing
// that they wait for: where that is all that is left, it is refused without being tried,
// with NeedsSlot.
func (l *Limiter) Admit(ctx context.Context, ask *Ask) (*Admission, error) {
	if l.queue == nil || l.queue.len() == 0 {
		return l.reserveAny(ctx, ask, nil)
	}
	p := l.place(ask)
	c := l.queue.contended(&p)
	var behind *Refused
	if len(c.slots) > 0 {
		behind = tooManyRunning(ask.Model, c.slots, l.queue.suggestedWait(l.room))
		behind.Everywhere = c.shared
	}
	if c.shared || c.all {
		return nil, behind
	}
	a, err := l.reserveAny(ctx, ask, c.skip)
	if refused, ok := errors.AsType[*Refused](err); ok && !refused.Everywhere {
		return nil, refused.with(behind)
	}
	return a, err
}

// Ticket is a place in the queue.
type Ticket struct {
	Bytes    int64     // of memory that the request takes while it waits
	Deadline time.Time // of the request itself; zero: none
	Until    time.Time // the queue's own time ends then at the latest; zero: when it has waited so long here
	Refused  *Refused  // by Admit; nil: it was not asked
	// Renew is called now and then, while the request waits, and sets Candidates and Usable
	// of the Ask as they are by then; its error ends the wait. nil: they stay. It is not
	// called after AdmitQueued has returned, nor from another goroutine.
	Renew func(*Ask) error
}

// AdmitQueued waits in the queue until there is room, and reserves it. The place is held
// only while ctx lives. The error is a *Refused, that of Renew or that of ctx. The
// admission's Chosen is an index in ask.Candidates, which are then those that Renew
// returned last and which were taken up. waitedFor says whatever the end which limits were
// waited for last, as Refused.Lacks does; nil: that is not known, for the first look ended
// the wait.
func (l *Limiter) AdmitQueued(ctx context.Context, ask *Ask, t Ticket) (a *Admission, waitedFor []string, err error) {
	if l.queue == nil {
		a, err = l.reserveAny(ctx, ask, nil)
		return a, nil, err
	}
	p := l.place(ask)
	p.bytes, p.deadline, p.until = t.Bytes, t.Deadline, t.Until
	if t.Refused != nil {
		p.lacked = t.Refused.slots
	}
	var renew func() (place, waiter, error)
	if t.Renew != nil {
		renew = func() (place, waiter, error) {
			again := *ask
			if err := t.Renew(&again); err != nil {
				return place{}, nil, err
			}
			return l.place(&again), &queuedAsk{limiter: l, ask: &again}, nil
		}
	}
	w, lacked, err := l.queue.wait(ctx, l.room, p, &queuedAsk{limiter: l, ask: ask}, renew)
	if err != nil {
		return nil, limitNames(lacked), l.notServed(ask.Model, lacked, err)
	}
	served := w.(*queuedAsk)
	ask.Candidates = served.ask.Candidates
	return served.admission, limitNames(lacked), nil
}

// notServed is the error of a request that the queue did not serve.
func (l *Limiter) notServed(model string, lacked []store.Slot, err error) error {
	why := ""
	switch {
	case errors.Is(err, errQueueFull):
		why = ", and the queue is full (queue_max_size " + strconv.Itoa(l.room.Size) + ")"
	case errors.Is(err, errQueueHeavy):
		why = ", and the requests in the queue take up its memory (" + strconv.FormatInt(l.room.Bytes>>20, 10) + " MiB)"
	case errors.Is(err, errQueueLate):
		why = ", and none ended while the request waited (queue_timeout " +
			strconv.FormatFloat(l.room.Timeout.Seconds(), 'g', -1, 64) + " s)"
	case errors.Is(err, errRequestLate):
		why = ", and none ended before the request's own time was over (request_timeout)"
	default:
		return err
	}
	return leftQueue(model, lacked, why, l.queue.suggestedWait(l.room))
}

// queuedAsk is a request in the queue.
type queuedAsk struct {
	limiter   *Limiter
	ask       *Ask
	admission *Admission // nil until try has succeeded
}

func (r *queuedAsk) try(ctx context.Context) (tried, error) {
	p := part{to: len(r.ask.Candidates)}
	if r.ask.Usable != nil {
		p.skip = make([]bool, p.to)
		for i := range p.skip {
			p.skip[i] = !r.ask.Usable(i)
		}
		if p.first() == p.to {
			return tried{none: true}, nil
		}
	}
	a, err := r.limiter.reserve(ctx, r.ask, p)
	if refused, ok := errors.AsType[*Refused](err); ok && refused.NeedsSlot {
		return tried{lacks: refused.slots, windows: refused.windows}, nil
	}
	if err != nil {
		return tried{}, err
	}
	r.admission = a
	return tried{taken: append(a.request.slots, a.attempt.slots...)}, nil
}

func (r *queuedAsk) noRoom(candidate string, used map[string]int64) bool {
	if r.ask.Usable != nil && !r.ask.Usable(slices.Index(r.ask.Candidates, candidate)) {
		return true
	}
	d := r.limiter.deployment(candidate)
	if d == nil || !d.windowed() {
		return false
	}
	size := d.estimate.guess(r.ask.Size)
	if !d.own.fits(size) || d.group != nil && !d.group.fits(size) {
		return true
	}
	return d.own.full(size, used) || d.group != nil && d.group.full(size, used)
}

// full reports whether a window surely has no room: used says, by key, that more than so
// much is used of it.
func (m *keyedBudget) full(size estimate, used map[string]int64) bool {
	for i, key := range m.keys {
		if key == "" {
			continue
		}
		above, known := used[key]
		if known && m.limits[i]-min(size.cost(metric(i)), m.limits[i]) <= above {
			return true
		}
	}
	return false
}

// place is what a request waits for.
func (l *Limiter) place(ask *Ask) place {
	p := place{caller: ask.Caller, candidates: make([]candidateSlots, 0, len(ask.Candidates))}
	shared, _ := l.shared(ask)
	p.shared = shared.slots
	for _, id := range ask.Candidates {
		c := candidateSlots{id: id}
		if d := l.deployment(id); d != nil {
			c.slots = d.slots()
		}
		p.candidates = append(p.candidates, c)
	}
	return p
}

// windowed reports whether a request to the deployment is limited by any window.
func (d *deployment) windowed() bool {
	return d.own.windows > 0 || d.group != nil && d.group.windows > 0
}

// slots are those that a request to the deployment needs.
func (d *deployment) slots() []store.Slot {
	var all []store.Slot
	for _, m := range []*keyedBudget{&d.own, d.group} {
		if m != nil && m.slot != "" {
			all = append(all, store.Slot{Key: m.slot, Limit: m.parallel})
		}
	}
	return all
}
