package limit

import (
	"context"
	"sync"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Admission is what one running request has reserved in the limits. It is safe for
// concurrent use.
type Admission struct {
	limiter *Limiter
	id      string
	model   string
	size    Size

	mu         sync.Mutex
	kept       bool // whoever asked knows of it
	closed     bool
	asking     bool        // Next is asking the store
	chosen     int         // index of the candidate; -1: the request holds none now
	deployment *deployment // the candidate; nil: it is not known, so it has no limits
	request    reservation // for the whole request: the caller's charges, the global slot
	attempt    reservation // for the attempt: the deployment's and its group's
	earlier    Outcome     // what earlier attempts used
	gauges     gauges
}

// reservation is what the store charged in one step.
type reservation struct {
	charges []charge
	slots   []store.Slot
	second  int64
}

// Outcome is how an attempt ended, as far as limits go. The zero Outcome is an
// attempt that never reached the provider.
type Outcome struct {
	// Reached: the provider got the request. It then counts as one request; what
	// did not reach it is given back wholly.
	Reached bool
	// Known: Prompt and Completion are what the provider counted (0 and 0 for an
	// error that costs nothing). Without it the estimate stands.
	Known              bool
	Prompt, Completion int64 // tokens
}

// Chosen is the index of the deployment in the candidates last given; -1: the
// request holds none.
func (a *Admission) Chosen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.chosen
}

// Header returns the x-ratelimit fields for the client: the tightest windows that
// the request was charged in, as they were then. None without limits.
func (a *Admission) Header() upstream.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gauges.appendTo(nil)
}

// Next releases what the failed attempt had reserved and reserves for another attempt
// of the same request, in one step. The global slot and the
// caller's charges stay. It returns the index of the candidate; the error is as
// Admit's, and then the request holds no deployment but may ask again. Attempts
// of one request follow each other: Next is not called while it runs.
func (a *Admission) Next(ctx context.Context, candidates []string, failed Outcome) (int, error) {
	back, ok := a.beginNext(failed)
	if !ok {
		return -1, context.Canceled
	}
	if len(candidates) == 0 {
		return -1, a.cancelNext(back)
	}
	l := a.limiter
	o := &candidateSet{each: []candidate{{on: l.deployment(candidates[0])}}}
	var reply store.Reply // without limits the first candidate is chosen
	if l.limited(candidates[0]) {
		o = l.candidates(candidates, part{to: len(candidates)}, a.size)
		if len(o.demands) == 0 {
			_ = a.cancelNext(back)
			return -1, tooLarge(a.model, o.smallest, o.over)
		}
		var err error
		reply, err = l.acquire(ctx, &store.Request{ID: a.id, Return: back, Candidates: o.demands})
		if err != nil {
			_ = a.cancelNext(back)
			return -1, err
		}
		l.wakeQueue(&back)
	} else {
		l.settle(back)
	}
	return a.finishNext(o, &reply)
}

// beginNext ends the failed attempt before the store is asked for the next. back is what
// it had reserved, to be settled. ok is false when the request has ended, or another
// Next runs: then back is empty.
func (a *Admission) beginNext(failed Outcome) (back store.Settlement, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	back.ID = a.id
	failed = failed.bounded()
	if a.closed || a.asking {
		return back, false
	}
	a.endAttempt(&back, failed)
	a.asking = true
	return back, true
}

// cancelNext settles what the failed attempt had reserved when the store cannot be asked
// for another attempt, or has failed. It returns the refusal.
func (a *Admission) cancelNext(back store.Settlement) error {
	a.limiter.settle(back)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = false
	return refusedBy(a.model, &draft{}, &candidateSet{}, &store.Reply{Wait: store.MaxWait}, &gauges{})
}

// finishNext takes in the store's reply. What it reserved for a request that has ended
// meanwhile is released again; the error is context.Canceled then.
func (a *Admission) finishNext(o *candidateSet, reply *store.Reply) (int, error) {
	g := a.limiter.observe(reply, nil, o)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = false
	if reply.Chosen < 0 {
		return -1, refusedBy(a.model, &draft{}, o, reply, &g)
	}
	a.gauges = g
	a.reserved(o, reply)
	if a.closed {
		back := store.Settlement{ID: a.id}
		a.endAttempt(&back, Outcome{})
		a.limiter.settle(back)
		return -1, context.Canceled
	}
	return a.chosen, nil
}

// Close ends the request: charges become what was used, slots are free. Only the
// first call counts. It does not wait for the store.
func (a *Admission) Close(last Outcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	back := store.Settlement{ID: a.id}
	a.endAttempt(&back, last.bounded())
	// Whatever any attempt used is the caller's; one whose use is not known lets
	// its estimate stand.
	a.request.settleInto(&back, a.earlier)
	a.limiter.settle(back)
}

// Release gives the slots back before it is known what the request used: for one
// that has ended and whose tokens come later. Close follows.
func (a *Admission) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	back := store.Settlement{ID: a.id}
	for _, h := range []*reservation{&a.request, &a.attempt} {
		for _, s := range h.slots {
			back.Slots = append(back.Slots, s.Key)
		}
		h.slots = nil
	}
	a.limiter.settle(back)
}

// choose notes the candidate that serves the attempt; d is nil when it is not known.
func (a *Admission) choose(index int, d *deployment) {
	a.chosen, a.deployment = index, d
	if d != nil {
		d.load.begin(a.limiter.now())
	}
}

// reserved notes what the store has reserved for the attempt.
func (a *Admission) reserved(o *candidateSet, reply *store.Reply) {
	c := &o.each[reply.Chosen]
	a.attempt = reservation{charges: c.charges, slots: c.slots, second: reply.Second}
	a.choose(c.index, c.on)
}

// endAttempt ends the attempt: it adds what that had reserved to a settlement, and what it
// used to the request's use. Idempotent: without an attempt it does nothing.
func (a *Admission) endAttempt(back *store.Settlement, end Outcome) {
	if a.chosen < 0 {
		return
	}
	a.attempt.settleInto(back, end)
	if a.deployment != nil {
		a.deployment.load.end(a.limiter.now(), end)
		a.deployment.noteUnused(&a.attempt, end)
		if end.Reached && end.Known {
			a.deployment.estimate.learn(a.size, end.Prompt, end.Completion)
		}
	}
	a.earlier = a.earlier.plus(end)
	a.attempt, a.chosen, a.deployment = reservation{}, -1, nil
}

// bounded is the outcome with counts that sums may be made of, whatever the
// provider says.
func (o Outcome) bounded() Outcome {
	o.Prompt, o.Completion = bounded(o.Prompt), bounded(o.Completion)
	return o
}

// plus adds the outcomes of two attempts of one request.
func (o Outcome) plus(next Outcome) Outcome {
	switch {
	case !next.Reached:
		return o
	case !o.Reached:
		return next
	}
	return Outcome{Reached: true, Known: o.Known && next.Known, Prompt: o.Prompt + next.Prompt, Completion: o.Completion + next.Completion}
}

// settleInto adds to a settlement the corrections that turn the charges into what was
// used, and the slots to release.
func (h *reservation) settleInto(back *store.Settlement, end Outcome) {
	for _, c := range h.charges {
		if delta := end.used(c) - c.cost; delta != 0 {
			back.Corrections = append(back.Corrections, store.Correction{Key: c.key, Second: h.second, Delta: delta})
		}
	}
	for _, s := range h.slots {
		back.Slots = append(back.Slots, s.Key)
	}
}

// used is what an outcome makes of a charge.
func (o Outcome) used(c charge) int64 {
	switch {
	case !o.Reached:
		return 0
	case c.metric == requests:
		return 1
	case !o.Known:
		return c.cost
	}
	return estimate{o.Prompt, o.Completion}.cost(c.metric)
}

// settle tells the store, and the queue what there is room for.
func (l *Limiter) settle(back store.Settlement) {
	if len(back.Corrections) == 0 && len(back.Slots) == 0 {
		return
	}
	l.store.Settle(back)
	l.wakeQueue(&back)
}

func (l *Limiter) wakeQueue(back *store.Settlement) {
	if l.queue != nil {
		l.queue.wake(back)
	}
}

// acquire asks the store. When it panics, nobody knows what it took: the slots are given
// back, charges stay for their minute.
func (l *Limiter) acquire(ctx context.Context, r *store.Request) (store.Reply, error) {
	answered := false
	defer func() {
		if answered {
			return
		}
		back := store.Settlement{ID: r.ID, Slots: r.Return.Slots}
		for _, d := range append([]store.Demand{r.Shared}, r.Candidates...) {
			for _, s := range d.Slots {
				back.Slots = append(back.Slots, s.Key)
			}
		}
		l.settle(back)
	}()
	reply, err := l.store.Acquire(ctx, r)
	answered = true
	return reply, err
}

// closeUnless gives an admission back that nobody will hear of, for its request has
// panicked.
func (a *Admission) closeUnless(reply *store.Reply) {
	if reply.Chosen >= 0 && !a.kept {
		a.Close(Outcome{})
	}
}
