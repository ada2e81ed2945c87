package limit

import (
	"context"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// recheckAfter is when a slot that was given back and found full is looked at once more:
// a shared store hears of what is given back a moment later.
const recheckAfter = 10 * time.Millisecond

// serve tries entries in rounds, when slots are given back and with each poll, until none
// waits.
func (q *queue) serve() {
	poll := time.NewTicker(q.poll)
	defer poll.Stop()
	recheck := time.NewTimer(recheckAfter)
	defer recheck.Stop()
	for {
		select {
		case <-q.signal:
		case <-poll.C:
			q.lookAtAll()
		case <-recheck.C:
			q.lookAgain()
		}
		q.guard.Run("the queue", q.tryAll)
		early, ended := q.endRound()
		if ended {
			return
		}
		if early {
			recheck.Reset(recheckAfter)
		}
	}
}

// lookAtAll has all slots looked at: nobody says when other replicas give theirs back, or
// a minute has passed.
func (q *queue) lookAtAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changes++
	clear(q.used)
	for _, s := range q.slots {
		s.full = 0
		q.markLocked(s)
	}
}

// lookAgain has the slots looked at that were given back just before they were found full.
func (q *queue) lookAgain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changes++
	for _, s := range q.early {
		s.early, s.full = false, 0
		q.markLocked(s)
	}
	q.early = q.early[:0]
}

// tryAll is one round: it tries the entries that slots which may be free go to. The store
// is asked once for each slot that is still full, and once for each entry that is served,
// however many wait.
func (q *queue) tryAll() {
	for e, w, changes := q.next(); e != nil; e, w, changes = q.next() {
		var t tried
		err := q.guard.Call("the queue", func() (err error) {
			t, err = w.try(e.ctx)
			return err
		})
		q.tried(e, t, err, changes)
	}
}

// next picks the entry to be tried next, or nil. changes is what tried wants to know.
func (q *queue) next() (e *entry, w waiter, changes uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.dirty) > 0 {
		s := q.dirty[0]
		if e := q.best(s); e != nil {
			e.trying, e.triedAt = true, q.changes
			return e, e.waiter, q.changes
		}
		q.dirty = slices.Delete(q.dirty, 0, 1)
		s.dirty = false
		if s.full == 0 {
			s.contended = false
		}
	}
	return nil, nil, 0
}

// tried notes how a try went that began at these changes.
func (q *queue) tried(e *entry, t tried, err error, changes uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.trying = false
	for _, w := range t.windows {
		if used, known := q.used[w.key]; !known || w.used > used {
			q.used[w.key] = w.used
		}
	}
	if len(t.lacks) > 0 {
		e.lacks = t.lacks
		q.noteFull(t.lacks, changes)
	}
	ok := err == nil && len(t.lacks) == 0 && !t.none
	switch {
	case !ok && e.ctx.Err() != nil:
		err = context.Cause(e.ctx)
	case !ok && err == nil:
		return // it waits on
	case ok:
		q.noteServed(e, t.taken)
	}
	q.dropLocked(e)
	e.done <- err
}

// noteFull notes which slots a try found full, unless one was given back meanwhile.
func (q *queue) noteFull(slots []store.Slot, changes uint64) {
	for _, lacked := range slots {
		s := q.slots[lacked.Key]
		if s == nil {
			continue
		}
		s.contended = true
		if s.woken > changes {
			continue // it is looked at again
		}
		s.full = max(s.full, lacked.Limit)
		if s.woken > 0 && !s.early {
			s.early, s.woken = true, 0
			q.early = append(q.early, s)
		}
	}
}

// noteServed notes that a caller has had its turn at the slots it got.
func (q *queue) noteServed(e *entry, taken []store.Slot) {
	q.served++
	q.lastWait = time.Since(e.came)
	who := q.callers[e.place.caller]
	for _, got := range taken {
		if s := q.slots[got.Key]; s != nil {
			who.turns[s.key] = q.served
		}
	}
	if s := q.slots[noSlot]; s != nil && len(taken) == 0 {
		who.turns[s.key] = q.served
	}
}

// endRound ends a round of tries, and the serving when none waits any more. early: slots
// are to be looked at after recheckAfter.
func (q *queue) endRound() (early, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.serving = q.len() > 0; q.serving {
		return len(q.early) > 0, false
	}
	q.dirty, q.early = nil, nil
	clear(q.used)
	return false, true
}
