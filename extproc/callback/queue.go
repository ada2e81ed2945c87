package callback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// Item is what a queue holds: it knows about how many bytes it is.
type Item interface{ Size() int }

// QueueConfig configures a [Queue]. Name, Rand and Log are required.
type QueueConfig struct {
	Name         string           // of the sink, for logs and counters
	MaxItems     int              // default 10,000
	MaxBytes     int              // default 64 MiB
	BatchItems   int              // a batch leaves when it has so many, default 100
	BatchBytes   int              // or so many bytes, default 4 MiB
	BatchAge     time.Duration    // or when its oldest item has waited so long, default 1 s
	Timeout      time.Duration    // one delivery, default 30 s
	MinWait      time.Duration    // before the first repetition, default 1 s; doubled each time
	MaxWait      time.Duration    // between repetitions, default 60 s
	NoRepetition bool             // an error of any kind drops its batch
	SpillPath    string           // file for what memory has no room for; default none
	SpillBytes   int64            // bound of that file, default 256 MiB
	Rand         func() float64   // in [0, 1), for jitter
	Now          func() time.Time // default time.Now
	Log          *slog.Logger
	Guard        *guard.Guard
}

func (c QueueConfig) withDefaults() QueueConfig {
	defaultTo(&c.MaxItems, 10_000)
	defaultTo(&c.MaxBytes, 64<<20)
	defaultTo(&c.BatchItems, 100)
	defaultTo(&c.BatchBytes, 4<<20)
	defaultTo(&c.BatchAge, time.Second)
	defaultTo(&c.Timeout, 30*time.Second)
	defaultTo(&c.MinWait, time.Second)
	defaultTo(&c.MaxWait, time.Minute)
	defaultTo(&c.SpillBytes, 256<<20)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func defaultTo[N int | int64 | time.Duration](v *N, d N) {
	if *v <= 0 {
		*v = d
	}
}

// Stats are the counters of one queue since it was made, in items, and what it
// holds now.
type Stats struct {
	Name                            string
	Sent, Retried, Dropped, Spilled int64
	Queued, Bytes                   int   // in memory, the batch on its way included
	OnDisk                          int64 // bytes
}

// Queue stands between the request path and one sink. [Queue.Add] takes a lock
// for some nanoseconds and never waits for the sink. One goroutine owns the
// rest: batches, repetition, the spill file. When the queue is full the oldest
// items go, to the spill file if there is one.
type Queue[T Item] struct {
	config QueueConfig
	sink   Deliverer[T]
	wake   chan struct{} // holds one token: something was added
	stop   chan struct{} // closed by Close
	ended  chan struct{} // closed when the goroutine is gone

	mu     sync.Mutex
	items  ring[T]
	stats  Stats
	closed bool
	limit  context.Context // of Close; set before stop is closed
}

// NewQueue starts a queue before a sink. Close ends it.
func NewQueue[T Item](sink Deliverer[T], c QueueConfig) *Queue[T] {
	q := &Queue[T]{
		config: c.withDefaults(), sink: sink,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	q.stats.Name = c.Name
	w := newWorker(q)
	q.config.Guard.Go("a callback's queue", w.run)
	return q
}

// Add hands one item over. It never blocks; after Close the item is dropped.
func (q *Queue[T]) Add(item T) {
	size := item.Size()
	q.mu.Lock()
	if q.closed || size > q.config.MaxBytes {
		q.stats.Dropped++
		q.mu.Unlock()
		return
	}
	for q.items.len() > 0 && (q.stats.Queued >= q.config.MaxItems || q.stats.Bytes+size > q.config.MaxBytes) {
		q.stats.Dropped++
		q.forgetLocked(q.items.pop().size)
	}
	q.stats.Queued++
	q.stats.Bytes += size
	q.items.push(entry[T]{item, size, q.config.Now()})
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue[T]) forgetLocked(size int) {
	q.stats.Queued--
	q.stats.Bytes -= size
}

// Stats returns the counters.
func (q *Queue[T]) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// Close takes nothing more in, delivers what is there and ends the goroutine.
// When ctx ends first, what is left goes to the spill file if there is one; the
// error says how many items are lost. Only the first call does anything.
func (q *Queue[T]) Close(ctx context.Context) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed, q.limit = true, ctx
	before := q.stats.Dropped
	q.mu.Unlock()
	close(q.stop)
	<-q.ended // bounded by ctx
	after := q.Stats()
	if lost := int64(after.Queued) + after.Dropped - before; lost > 0 {
		return fmt.Errorf("%s: %d records are lost: the sink did not take them in time", q.config.Name, lost)
	}
	return nil
}

// take removes the next batch from memory. Unless everything is wanted it
// returns nothing before the batch is full or old enough, and how long that is.
func (q *Queue[T]) take(all bool) (batch []entry[T], wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < q.items.len() && n < q.config.BatchItems {
		e := q.items.at(n)
		if n > 0 && size+e.size > q.config.BatchBytes {
			break
		}
		size += e.size
		n++
	}
	if n == 0 {
		return nil, 0
	}
	full := n == q.config.BatchItems || n < q.items.len() || size >= q.config.BatchBytes
	if age := q.config.Now().Sub(q.items.at(0).added); !all && !full && age < q.config.BatchAge {
		return nil, q.config.BatchAge - age
	}
	batch = make([]entry[T], n)
	for i := range batch {
		batch[i] = q.items.pop()
	}
	return batch, 0
}

// putBack undoes a take: the batch is the oldest in memory again.
func (q *Queue[T]) putBack(batch []entry[T]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(batch) - 1; i >= 0; i-- {
		q.items.pushFront(batch[i])
	}
}

// count changes the counters: what of a batch is no longer held in memory.
func (q *Queue[T]) count(gone []entry[T], change func(s *Stats, n int64)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range gone {
		if e.size > 0 {
			q.forgetLocked(e.size)
		}
	}
	change(&q.stats, int64(len(gone)))
}

// attempt delivers one batch; a panic of the sink is a permanent error.
func (q *Queue[T]) attempt(ctx context.Context, batch []entry[T]) error {
	err := q.config.Guard.Call("a callback", func() error { return q.deliver(ctx, batch) })
	if errors.Is(err, guard.ErrPanicked) {
		return Permanent(err)
	}
	return err
}

func (q *Queue[T]) deliver(ctx context.Context, batch []entry[T]) error {
	items := make([]T, len(batch))
	for i, e := range batch {
		items[i] = e.item
	}
	ctx, cancel := context.WithTimeoutCause(ctx, q.config.Timeout, errTimeout)
	defer cancel()
	return q.sink.Deliver(ctx, items)
}

var errTimeout = errors.New("the sink took too long")

// entry is one queued item. size is 0 when it is not counted as held in memory:
// it came back from the spill file.
type entry[T any] struct {
	item  T
	size  int
	added time.Time
}

// ring is a first-in-first-out list that reuses its memory.
type ring[T any] struct {
	buf         []entry[T]
	first, used int
}

func (r *ring[T]) len() int           { return r.used }
func (r *ring[T]) at(i int) *entry[T] { return &r.buf[(r.first+i)%len(r.buf)] }
func (r *ring[T]) push(e entry[T]) {
	if r.used == len(r.buf) {
		r.resize(max(16, 2*r.used))
	}
	r.used++
	*r.at(r.used - 1) = e
}

func (r *ring[T]) pop() entry[T] {
	e := *r.at(0)
	*r.at(0) = entry[T]{}
	r.first, r.used = (r.first+1)%len(r.buf), r.used-1
	if len(r.buf) > 1024 && r.used < len(r.buf)/8 {
		r.resize(len(r.buf) / 4)
	}
	return e
}

// pushFront puts an entry before the first.
func (r *ring[T]) pushFront(e entry[T]) {
	if r.used == len(r.buf) {
		r.resize(max(16, 2*r.used))
	}
	r.first, r.used = (r.first+len(r.buf)-1)%len(r.buf), r.used+1
	*r.at(0) = e
}

func (r *ring[T]) resize(n int) {
	buf := make([]entry[T], n)
	for i := range r.used {
		buf[i] = *r.at(i)
	}
	r.buf, r.first = buf, 0
}
