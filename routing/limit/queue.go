package limit

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// QueueOptions bound a Queue. The zero value is usable.
type QueueOptions struct {
	Size    int           // requests that may wait; default 1000
	Bytes   int64         // that they may take together; default 256 MiB
	Timeout time.Duration // the longest wait; default 30 s
	// Poll is how often those who wait try by themselves: slots that other
	// replicas give back are not announced. Default 100 ms.
	Poll time.Duration
}

// Queue is where requests wait for a slot. It is fair: callers take turns, and
// each caller's requests are served in the order they came, so that one caller's
// thousand do not delay another's first. Why a request waits, which limits leave it no
// slot, is Refused.Lacks. It is safe for concurrent use.
type Queue struct {
	options QueueOptions
	guard   *guard.Guard
	wake    chan struct{}

	mu       sync.Mutex
	lines    []*line // the callers that wait, in the order of their turns
	turn     int     // the line that is next
	count    int
	bytes    int64
	serving  bool
	lastWait time.Duration // how long the last one served had waited
	// lacked is, by Place.Class, what one of the class lacked last, since the queue was
	// last empty. It has Size classes at most.
	lacked map[string][]string
}

// line is the requests of one caller, oldest first.
type line struct {
	caller  string
	entries []*entry
}

// entry is one request that waits.
type entry struct {
	ctx    context.Context
	place  Place
	came   time.Time
	try    func(context.Context) (lacks []string, err error)
	trying bool       // try is running: its result decides
	lacks  []string   // what it lacked when it was last tried, or those before it; nil: not known
	done   chan error // gets one result, when the entry has left the queue
}

// Place says who waits, and how long at most.
type Place struct {
	Caller string
	// Class is of requests that are taken to lack the same slots: when the oldest that is
	// tried cannot go on, the others of its class are not tried until something changes.
	Class    string
	Lacked   []string  // when it was tried before it came here; nil: it was not
	Bytes    int64     // of memory that the request takes while it waits
	Deadline time.Time // zero: only the queue's own
}

// Why the queue did not take a request, or did not keep it.
var (
	ErrQueueFull = errors.New("the queue is full")
	ErrQueueLate = errors.New("the wait in the queue has taken too long")
)

// NewQueue makes an empty queue. It needs no Close: its goroutine runs only while
// requests wait.
func NewQueue(o QueueOptions) *Queue {
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
	return &Queue{options: o, wake: make(chan struct{}, 1)}
}

// Len is how many wait.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// Wake has those that wait tried again: something was given back. It does not wait.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wait waits until try succeeds or fails: it is called in turn with others, one at a
// time. It returns what it lacks, and waits on then; nil and no error is success. Wait
// returns no error after a success, even when ctx has ended meanwhile; else the error
// of try or of ctx, ErrQueueFull, or ErrQueueLate. waitedFor is what try lacked last; if it
// was not called, what p.Lacked says or one before it of the same Class lacked; it may be
// nil.
func (q *Queue) Wait(ctx context.Context, p Place, try func(context.Context) (lacks []string, err error)) (waitedFor []string, err error) {
	now := time.Now()
	end := now.Add(q.options.Timeout)
	if !p.Deadline.IsZero() && p.Deadline.Before(end) {
		end = p.Deadline
	}
	timed, cancel := context.WithDeadlineCause(ctx, end, ErrQueueLate)
	defer cancel()
	e := &entry{ctx: timed, place: p, came: now, try: try, done: make(chan error, 1)}
	if !q.enter(e) {
		return e.lacks, ErrQueueFull
	}
	q.Wake()
	select {
	case err = <-e.done:
		return q.waitedFor(e), err
	case <-timed.Done():
	}
	if !q.leave(e) {
		err = <-e.done // it was served, or is just being tried
		return q.waitedFor(e), err
	}
	q.Wake() // the goroutine may have none left to serve
	return q.waitedFor(e), context.Cause(timed)
}

// waitedFor is what an entry that has left lacked last.
func (q *Queue) waitedFor(e *entry) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return e.lacks
}

// lacking is what those of a class lack that wait; nil: none waits, or none was tried
// yet.
func (q *Queue) lacking(class string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lacked[class]
}

// enter puts an entry at the end of its caller's line; false: it is full.
func (q *Queue) enter(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lacksLocked(e, e.place.Lacked); e.lacks == nil {
		e.lacks = q.lacked[e.place.Class]
	}
	if q.count >= q.options.Size || q.bytes+e.place.Bytes > q.options.Bytes {
		return false
	}
	q.count++
	q.bytes += e.place.Bytes
	i := q.lineLocked(e)
	if i < 0 {
		i = len(q.lines)
		q.lines = append(q.lines, &line{caller: e.place.Caller})
	}
	q.lines[i].entries = append(q.lines[i].entries, e)
	if !q.serving {
		q.serving = true
		q.guard.Go("the queue", q.serve)
	}
	return true
}

// lacksLocked notes what an entry lacks, if that is known.
func (q *Queue) lacksLocked(e *entry, lacks []string) {
	if len(lacks) == 0 {
		return
	}
	e.lacks = lacks
	if q.lacked == nil || len(q.lacked) >= q.options.Size {
		q.lacked = map[string][]string{}
	}
	q.lacked[e.place.Class] = lacks
}

// leave takes an entry out, unless it is just being tried or has left already:
// then done gets its result.
func (q *Queue) leave(e *entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !e.trying && q.removeLocked(e)
}

// lineLocked finds the line of an entry's caller; -1: there is none.
func (q *Queue) lineLocked(e *entry) int {
	return slices.IndexFunc(q.lines, func(l *line) bool { return l.caller == e.place.Caller })
}

// removeLocked takes an entry out of its line, if it is there; the turn stays
// where it is.
func (q *Queue) removeLocked(e *entry) bool {
	i := q.lineLocked(e)
	if i < 0 {
		return false
	}
	at := slices.Index(q.lines[i].entries, e)
	if at < 0 {
		return false
	}
	q.count--
	q.bytes -= e.place.Bytes
	q.lines[i].entries = slices.Delete(q.lines[i].entries, at, at+1)
	if len(q.lines[i].entries) == 0 {
		q.lines = slices.Delete(q.lines, i, i+1)
		if i < q.turn {
			q.turn--
		}
	}
	return true
}

// serve tries entries in rounds, after each Wake and Poll, until none waits.
func (q *Queue) serve() {
	poll := time.NewTicker(q.options.Poll)
	defer poll.Stop()
	for {
		select {
		case <-q.wake:
		case <-poll.C:
		}
		blocked := map[string]bool{}
		for e := q.next(blocked); e != nil; e = q.next(blocked) {
			var lacks []string
			err := q.guard.Call("the queue", func() (err error) {
				lacks, err = e.try(e.ctx)
				return err
			})
			q.tried(e, lacks, err)
			if len(lacks) > 0 && err == nil {
				blocked[e.place.Class] = true
			}
		}
		if q.endRound() {
			return
		}
	}
}

// endRound ends a round of tries, and the serving when none waits any more.
func (q *Queue) endRound() (ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.serving = q.count > 0; !q.serving {
		q.lacked = nil
	}
	return !q.serving
}

// next picks the entry whose turn it is among those that are not blocked.
func (q *Queue) next(blocked map[string]bool) *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lines {
		for _, e := range q.lines[(q.turn+i)%len(q.lines)].entries {
			if !blocked[e.place.Class] && e.ctx.Err() == nil {
				e.trying = true
				return e
			}
		}
	}
	return nil
}

// tried notes how a try went. Who was served has had the caller's turn.
func (q *Queue) tried(e *entry, lacks []string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.trying = false
	ok := err == nil && len(lacks) == 0
	q.lacksLocked(e, lacks)
	switch {
	case !ok && e.ctx.Err() != nil:
		err = context.Cause(e.ctx)
	case !ok && err == nil:
		return // it waits on
	case ok:
		q.turn = q.lineLocked(e) + 1
		q.lastWait = time.Since(e.came)
	}
	q.removeLocked(e)
	e.done <- err
}

// suggestedWait is the Retry-After of a request that is refused: as long as the last one
// served had waited, at least a second and at most the queue's timeout.
func (q *Queue) suggestedWait() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	return min(max(q.lastWait, time.Second), q.options.Timeout)
}
