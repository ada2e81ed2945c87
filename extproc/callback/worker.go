package callback

import (
	"context"
	"errors"
	"time"
)

// worker is the goroutine of a queue. It has at most one delivery under way,
// which runs beside it so that it can spill meanwhile.
type worker[T Item] struct {
	q       *Queue[T]
	spill   *spill[T]
	again   [][]entry[T] // to be delivered before anything else, last first
	current []entry[T]   // under way; nil: nothing is
	fromLog int64        // how far in the spill file current reaches; 0: it is not from there
	result  chan error

	failures int       // deliveries failed in a row
	resume   time.Time // no delivery before
	dropped  int64     // Stats.Dropped when a loss was last told
	losing   bool      // a burst of losses is on
	diskErr  error     // why the spill file did not take the last batch; nil: it did
	diskWait time.Time // the spill file is not tried again before
	stopping bool
	reopen   time.Time // when the spill file may be tried again
}

func newWorker[T Item](q *Queue[T]) *worker[T] {
	w := &worker[T]{q: q, result: make(chan error, 1)}
	w.openSpill()
	return w
}

// openSpill opens the spill file. Where it cannot, it is tried again later: it
// may be the queue of an earlier configuration that still holds it.
func (w *worker[T]) openSpill() {
	c, now := w.q.config, w.q.config.Now()
	if c.SpillPath == "" || w.spill != nil || now.Before(w.reopen) {
		return
	}
	s, err := openSpill[T](c.SpillPath, c.SpillBytes)
	if err != nil && w.reopen.IsZero() {
		c.Log.Warn("callback: no spill file, records are kept in memory alone", "sink", c.Name, "error", err)
	}
	w.spill, w.reopen = s, now.Add(c.MinWait)
}

func (w *worker[T]) run() {
	defer close(w.q.ended)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop, limit := w.q.stop, (<-chan struct{})(nil)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, idle := w.q.config.MinWait, false // after a panic
		w.q.config.Guard.Run("a callback's queue", func() {
			wait, idle = w.step(ctx)
			w.logLoss()
		})
		if idle && w.stopping && w.current == nil {
			w.end()
			return
		}
		timer.Reset(wait)
		select {
		case <-w.q.wake:
		case err := <-w.result:
			w.settle(err)
		case <-timer.C:
		case <-stop:
			stop, limit = nil, w.q.limit.Done()
			w.stopping, w.resume, w.failures = true, time.Time{}, 0 // one more try at once
		case <-limit:
			w.abandon(cancel)
			return
		}
	}
}

// never is a wait that something else ends.
const never = time.Hour

// step starts what can be started. It returns how long until it should be
// called again, and whether nothing is left to deliver.
func (w *worker[T]) step(ctx context.Context) (wait time.Duration, idle bool) {
	w.relieve()
	if w.current != nil {
		return never, false
	}
	if wait := w.resume.Sub(w.q.config.Now()); wait > 0 {
		return wait, false
	}
	batch, wait := w.next()
	if batch == nil {
		if wait == 0 {
			return never, true
		}
		return wait, false
	}
	w.current = batch
	w.q.config.Guard.Go("a callback", func() { w.result <- w.q.attempt(ctx, batch) })
	return never, false
}

// next is the batch to deliver now: a repeated one, one from the disk (older
// than any in memory), one from memory.
func (w *worker[T]) next() ([]entry[T], time.Duration) {
	if n := len(w.again); n > 0 {
		batch := w.again[n-1]
		w.again = w.again[:n-1]
		return batch, 0
	}
	if batch, end := w.spill.read(w.q.config.BatchItems, w.q.config.BatchBytes); batch != nil {
		w.fromLog = end
		return batch, 0
	}
	return w.q.take(w.stopping)
}

// settle takes the result of the delivery that was under way.
func (w *worker[T]) settle(err error) {
	batch := w.current
	w.current = nil
	var status *StatusError
	errors.As(err, &status)
	switch {
	case err == nil:
		if w.failures > 0 {
			w.q.config.Log.Info("callback: the sink answers again", "sink", w.q.config.Name)
		}
		w.failures, w.resume = 0, time.Time{}
		w.q.count(batch, func(s *Stats, n int64) { s.Sent += n })
	case IsPermanent(err) && splittable(err) && len(batch) > 1:
		half := len(batch) / 2
		w.again = append(w.again, batch[half:], batch[:half])
		return
	case IsPermanent(err), w.q.config.NoRepetition:
		w.q.config.Log.Warn("callback: records refused, dropped", "sink", w.q.config.Name, "records", len(batch), "error", err)
		w.q.count(batch, func(s *Stats, n int64) { s.Dropped += n })
		w.dropped += int64(len(batch))
	default:
		w.repeat(batch, err, status)
		return
	}
	if len(w.again) == 0 && w.fromLog > 0 {
		w.spill.consumed(w.fromLog)
		w.fromLog = 0
		w.q.count(nil, func(s *Stats, _ int64) { s.OnDisk = w.spill.size() })
	}
}

// repeat puts a batch back and says when it is tried again: the wait doubles and
// is spread over its upper half, a sink that names a time gets it.
func (w *worker[T]) repeat(batch []entry[T], err error, status *StatusError) {
	c := w.q.config
	wait := min(c.MinWait<<min(w.failures, 20), c.MaxWait)
	wait = wait/2 + time.Duration(c.Rand()*float64(wait/2))
	if status != nil {
		wait = max(wait, status.RetryAfter)
	}
	if w.failures == 0 {
		c.Log.Warn("callback: delivery failed, will be repeated", "sink", c.Name, "records", len(batch), "error", err)
	}
	w.failures++
	w.resume = c.Now().Add(wait)
	w.again = append(w.again, batch)
	w.q.count(nil, func(s *Stats, _ int64) { s.Retried += int64(len(batch)) })
}

// relieve moves the oldest items to the disk while more than half of the memory
// is used. What the disk does not take stays, so that the rest of the memory is
// used too, and it is tried again later.
func (w *worker[T]) relieve() {
	w.openSpill()
	for w.spill != nil && !w.q.config.Now().Before(w.diskWait) {
		w.q.mu.Lock()
		s := w.q.stats
		crowded := s.Queued > w.q.config.MaxItems/2 || s.Bytes > w.q.config.MaxBytes/2
		w.q.mu.Unlock()
		if !crowded {
			return
		}
		batch, _ := w.q.take(true)
		if len(batch) == 0 {
			return
		}
		if !w.write(batch) {
			w.q.putBack(batch)
			w.diskWait = w.q.config.Now().Add(w.q.config.MinWait)
			return
		}
	}
}

// write writes a batch to the spill file and reports whether there was room.
func (w *worker[T]) write(batch []entry[T]) bool {
	if w.diskErr = w.spill.write(batch); w.diskErr != nil {
		return false
	}
	w.q.count(batch, func(s *Stats, n int64) { s.Spilled += n; s.OnDisk = w.spill.size() })
	return true
}

// toDisk moves a batch from memory to the spill file, at the end; what it has no
// room for is dropped.
func (w *worker[T]) toDisk(batch []entry[T]) bool {
	if w.write(batch) {
		return true
	}
	w.q.count(batch, func(s *Stats, n int64) { s.Dropped += n })
	return false
}

// logLoss writes one line when records begin to be lost and one, with their
// number, when that is over.
func (w *worker[T]) logLoss() {
	s := w.q.Stats()
	switch {
	case !w.losing && s.Dropped > w.dropped:
		w.losing = true
		why := []any{"sink", s.Name, "queued", s.Queued}
		if w.diskErr != nil {
			why = append(why, "error", w.diskErr)
		}
		w.q.config.Log.Warn("callback: queue full, the oldest records are dropped", why...)
	case w.losing && s.Queued < w.q.config.MaxItems/2 && s.Bytes < w.q.config.MaxBytes/2:
		w.q.config.Log.Warn("callback: records were dropped", "sink", s.Name, "records", s.Dropped-w.dropped)
		w.losing, w.dropped = false, s.Dropped
	}
}

// end closes a queue that is empty.
func (w *worker[T]) end() { w.spill.close() }

// abandon closes a queue whose time is over: what is left goes to the disk, if
// there is one, else it stays counted as queued.
func (w *worker[T]) abandon(cancel context.CancelFunc) {
	cancel()
	if w.spill == nil {
		return
	}
	if w.fromLog == 0 && w.current != nil {
		w.toDisk(w.current)
	}
	for _, batch := range w.again {
		if w.fromLog == 0 {
			w.toDisk(batch)
		}
	}
	for batch, _ := w.q.take(true); batch != nil && w.toDisk(batch); batch, _ = w.q.take(true) {
		continue
	}
	w.spill.close()
}
