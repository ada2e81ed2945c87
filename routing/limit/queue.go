package limit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// QueueOptions bound what waits in the queue. The zero value is usable.
type QueueOptions struct {
	Size    int           // requests that may wait; default 1000
	Bytes   int64         // that they may take together; default 256 MiB
	Timeout time.Duration // the longest wait; default 30 s
	// Poll is how often those who wait are tried without being woken: slots that other
	// replicas give back, and minutes that pass, are not announced. Default 100 ms.
	Poll time.Duration
	// Renew is how often the candidates of a request that waits are looked up anew.
	// Default 2.5 s: longer than a plan may keep a half-open deployment for itself.
	Renew time.Duration
}

func (o QueueOptions) withDefaults() QueueOptions {
	if o.Size <= 0 {
		o.Size = 1000
	}
	if o.Bytes <= 0 {
		o.Bytes = 256 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 100 * time.Millisecond
	}
	if o.Renew <= 0 {
		o.Renew = 2500 * time.Millisecond
	}
	return o
}

// queue is where requests wait for a slot. A request waits only for the slots that it
// lacks: whatever others wait for, it is served when one of its candidates has room.
// A slot that is free goes to the caller that got it least recently, and there to the
// request that came first, so that one caller's thousand do not delay another's first.
// The Limiters of successive configurations share one. It is safe for concurrent use.
type queue struct {
	poll    time.Duration
	guard   *guard.Guard
	signal  chan struct{} // dirty has slots, or the last request has left
	waiting atomic.Int64

	mu       sync.Mutex
	classes  map[string]*class
	slots    map[string]*slot // those that the waiting may take
	callers  map[string]*caller
	dirty    []*slot          // to be looked at, each once
	early    []*slot          // to be looked at once more: see recheckAfter
	used     map[string]int64 // by window: more than this is used, as far as is known
	changes  uint64           // how often a slot or window was no longer known to be full
	bytes    int64
	arrivals int64
	served   int64 // requests that got a slot
	serving  bool
	lastWait time.Duration // how long the last one served had waited
}

// waiter is a request that waits. The queue calls try from one goroutine.
type waiter interface {
	// try reserves what the request needs, if it is there.
	try(context.Context) (tried, error)
	// noRoom reports whether a candidate may surely not be taken now, whatever slots are
	// free. used says, by key of a window, that more than so much is used of it.
	noRoom(candidate string, used map[string]int64) bool
}

// tried is what a try has come to. The request waits on when it lacks slots, or none of
// its candidates may be taken.
type tried struct {
	none    bool
	taken   []store.Slot
	lacks   []store.Slot  // of the demands that lack nothing else
	windows []windowInUse // those that had no room
}

// windowInUse is a window of which more than so much is used.
type windowInUse struct {
	key  string
	used int64
}

// place says who waits, what for, and how long at most.
type place struct {
	caller     string
	shared     []store.Slot // needed whichever candidate is taken
	candidates []candidateSlots
	lacked     []store.Slot // in the refusal that led here; nil: it was not tried
	bytes      int64        // of memory that the request takes while it waits
	deadline   time.Time    // of the request itself; zero: none
	until      time.Time    // bounds the queue's own time; zero: not
}

// candidateSlots are the slots that one candidate needs.
type candidateSlots struct {
	id    string
	slots []store.Slot
}

// entry is one request that waits.
type entry struct {
	ctx    context.Context
	place  place
	waiter waiter
	class  *class
	number int64 // in the order of arrival
	came   time.Time

	trying    bool   // try is running: its result decides
	triedAt   uint64 // queue.changes when it was last tried
	blockedAt uint64 // queue.changes when it was last known to have no room
	lacks     []store.Slot
	done      chan error // gets one result, when the entry has left the queue
}

// Why the queue did not take a request, or did not keep it.
var (
	errQueueFull  = errors.New("the queue is full")
	errQueueHeavy = errors.New("the requests in the queue take up its memory")
	errQueueLate  = errors.New("the wait in the queue has taken too long")
	// errRequestLate: the request's own time was shorter than the queue's.
	errRequestLate = errors.New("the request's time was over in the queue")
)

// newQueue makes an empty queue. It needs no Close: its goroutine runs only while
// requests wait.
func newQueue(poll time.Duration, g *guard.Guard) *queue {
	return &queue{
		poll: poll, guard: g, signal: make(chan struct{}, 1), classes: map[string]*class{}, slots: map[string]*slot{},
		callers: map[string]*caller{}, used: map[string]int64{}, changes: 1,
	}
}

// len is how many wait.
func (q *queue) len() int { return int(q.waiting.Load()) }

// wait waits until the request is served or fails. renew, if it is not nil, is called
// every renewEvery for the request's candidates as they are by then; it is called by the
// goroutine that waits, and its error ends the wait.
//
// w is the waiter that was served: the first, or one of those that renew returned. There
// is no error after a success, even when ctx has ended meanwhile; else it is that of try,
// renew or ctx, errQueueFull, errQueueHeavy, errQueueLate or errRequestLate. lacked is what
// it lacked last; nil: nothing was known to be lacking.
func (q *queue) wait(
	ctx context.Context, o QueueOptions, p place, first waiter, renew func() (place, waiter, error),
) (w waiter, lacked []store.Slot, err error) {
	now := time.Now()
	end, late := now.Add(o.Timeout), errQueueLate
	if !p.until.IsZero() && p.until.Before(end) {
		end = p.until
	}
	if !p.deadline.IsZero() && p.deadline.Before(end) {
		end, late = p.deadline, errRequestLate
	}
	timed, cancel := context.WithDeadlineCause(ctx, end, late)
	defer cancel()
	e := &entry{ctx: timed, place: p, waiter: first, came: now, done: make(chan error, 1)}
	if err := q.enter(e, o); err != nil {
		return nil, e.lacks, err
	}
	var renewal <-chan time.Time
	if renew != nil {
		tick := time.NewTicker(o.Renew)
		defer tick.Stop()
		renewal = tick.C
	}
	for {
		select {
		case err = <-e.done:
			return q.result(e, err)
		case <-timed.Done():
			return q.abandon(e, context.Cause(timed))
		case <-renewal:
			err := q.guard.Call("the queue", func() error { return q.renew(e, renew) })
			if err != nil {
				return q.abandon(e, err)
			}
		}
	}
}

// result is what wait returns of an entry that has left.
func (q *queue) result(e *entry, err error) (waiter, []store.Slot, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.waiter, e.lacks, err
}

// abandon takes an entry out for a reason. One that was served, or is just being tried,
// has its own result.
func (q *queue) abandon(e *entry, reason error) (waiter, []store.Slot, error) {
	if !q.leave(e) {
		reason = <-e.done
	}
	return q.result(e, reason)
}

// enter puts an entry behind those that came before it. The error is errQueueFull or
// errQueueHeavy.
func (q *queue) enter(e *entry, o QueueOptions) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.lacks = e.place.lacked; e.lacks == nil {
		e.lacks = q.contendedLocked(&e.place).slots
	}
	switch {
	case q.len() >= o.Size:
		return errQueueFull
	case q.bytes+e.place.bytes > o.Bytes:
		return errQueueHeavy
	}
	q.waiting.Add(1)
	q.bytes += e.place.bytes
	q.arrivals++
	e.number = q.arrivals
	q.addLocked(e)
	if !q.serving {
		q.serving = true
		q.guard.Go("the queue", q.serve)
	}
	return nil
}

// leave takes an entry out, unless it is just being tried or has left already:
// then done gets its result.
func (q *queue) leave(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.trying || e.class == nil {
		return false
	}
	q.dropLocked(e)
	if q.len() == 0 {
		q.signalLocked() // the goroutine has none left to serve
	}
	return true
}

// dropLocked ends an entry's wait.
func (q *queue) dropLocked(e *entry) {
	q.removeLocked(e, e.class)
	e.class = nil
	q.waiting.Add(-1)
	q.bytes -= e.place.bytes
}

// renew looks up what an entry waits for. It keeps its place among those that wait.
func (q *queue) renew(e *entry, renew func() (place, waiter, error)) error {
	p, w, err := renew()
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.trying || e.class == nil {
		return nil
	}
	if p.key() == e.class.key {
		return nil // the same set: the old order will do
	}
	old := e.class
	p.caller, p.bytes, p.lacked = e.place.caller, e.place.bytes, nil
	e.place, e.waiter, e.blockedAt = p, w, 0
	q.addLocked(e)
	q.removeLocked(e, old)
	return nil
}

// wake has those that wait tried again that may be served by what a settlement gives
// back. It does not wait for them.
func (q *queue) wake(back *store.Settlement) {
	if q.waiting.Load() == 0 {
		return // whoever comes now is tried once
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, key := range back.Slots {
		if s := q.slots[key]; s != nil {
			q.changes++
			s.woken, s.full = q.changes, 0
			q.markLocked(s)
		}
	}
	for _, c := range back.Corrections {
		if _, full := q.used[c.Key]; full && c.Delta < 0 {
			q.changes++
			delete(q.used, c.Key)
			q.markFree()
		}
	}
}

// markFree has the slots looked at that are not known to be full.
func (q *queue) markFree() {
	for _, s := range q.slots {
		if s.full == 0 {
			q.markLocked(s)
		}
	}
}

// markLocked has a slot looked at in the next round, or in this one.
func (q *queue) markLocked(s *slot) {
	if !s.dirty {
		s.dirty = true
		q.dirty = append(q.dirty, s)
	}
	q.signalLocked()
}

func (q *queue) signalLocked() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// contended is what a request may not take now: others wait for it.
type contended struct {
	slots  []store.Slot // those that the request needs
	shared bool         // one of them is needed whichever candidate is taken
	skip   []bool       // by candidate: others wait for it
	all    bool         // no candidate is left
}

// contended tells what of a request's slots others wait for.
func (q *queue) contended(p *place) contended {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.contendedLocked(p)
}

func (q *queue) contendedLocked(p *place) contended {
	var c contended
	note := func(slots []store.Slot) (found bool) {
		for _, want := range slots {
			if s := q.slots[want.Key]; s != nil && s.contended {
				c.slots, found = append(c.slots, want), true
			}
		}
		return found
	}
	if c.shared = note(p.shared); c.shared {
		return c
	}
	c.skip, c.all = make([]bool, len(p.candidates)), true
	for i := range p.candidates {
		c.skip[i] = note(p.candidates[i].slots)
		c.all = c.all && c.skip[i]
	}
	return c
}

// suggestedWait is the Retry-After of a request that is refused: as long as the last one
// served had waited, at least a second and at most the queue's timeout.
func (q *queue) suggestedWait(o QueueOptions) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return min(max(q.lastWait, time.Second), o.Timeout)
}
