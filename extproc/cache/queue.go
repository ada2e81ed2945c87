package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// queue writes entries to the store behind the requests' backs. It is bounded in
// number and bytes; what does not fit is dropped. An entry can be read from the
// queue until it has been written.
type queue struct {
	blobs   Blobs
	timeout time.Duration // of one write
	limit   int64         // bytes that may wait
	stats   *counters

	mu      sync.RWMutex
	guard   *guard.Guard
	closed  bool
	waiting map[Key]*Entry
	jobs    chan job
	bytes   atomic.Int64

	ctx    context.Context // of the writes; cancelled when closing takes too long
	cancel context.CancelFunc
	done   sync.WaitGroup
}

type job struct {
	key   Key
	entry *Entry
	ttl   time.Duration
}

// writers is how many writes run at once.
const writers = 4

func newQueue(cfg *Config, stats *counters) *queue {
	q := &queue{
		guard: cfg.Guard, blobs: cfg.Blobs, timeout: cfg.StoreTimeout, limit: cfg.QueueBytes, stats: stats,
		waiting: make(map[Key]*Entry), jobs: make(chan job, cfg.QueueLength),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	for range writers {
		q.done.Go(q.run)
	}
	return q
}

// put queues an entry and reports whether there was room.
func (q *queue) put(j job) bool {
	size := int64(len(j.entry.JSON))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes.Load()+size > q.limit {
		return false
	}
	select {
	case q.jobs <- j:
	default:
		return false
	}
	q.bytes.Add(size)
	q.waiting[j.key] = j.entry
	return true
}

// get returns an entry that has not been written yet.
func (q *queue) get(key Key) *Entry {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.waiting[key]
}

func (q *queue) run() {
	for j := range q.jobs {
		q.guard.Run("the writing of the cache", func() { q.write(j) })
		q.bytes.Add(-int64(len(j.entry.JSON)))
		q.mu.Lock()
		if q.waiting[j.key] == j.entry {
			delete(q.waiting, j.key)
		}
		q.mu.Unlock()
	}
}

func (q *queue) write(j job) {
	ctx, cancel := context.WithTimeout(q.ctx, q.timeout)
	defer cancel()
	blob := j.entry.Encode(j.key)
	if err := q.blobs.Set(ctx, j.key.String(), blob, j.ttl); err != nil {
		q.stats.storeErrors.Add(1)
		return
	}
	q.stats.stores.Add(1)
	q.stats.storedBytes.Add(int64(len(blob)))
}

// close writes what waits and ends the writers. When ctx ends first, the rest is
// given up.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.jobs)
	}
	q.mu.Unlock()
	written := make(chan struct{})
	q.guard.Go("the end of the cache", func() {
		q.done.Wait()
		close(written)
	})
	defer q.cancel()
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		q.cancel() // the writes fail now, and the writers end
		<-written
		return ctx.Err()
	}
}
