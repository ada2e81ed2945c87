package extproc

import (
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// A stream that is read in the mode Duplex can be ended here at any time. One whose
// provider stops in the middle of its answer, without closing the connection, ends with
// an error event, as one that fails in any other way that is noticed here. A provider's
// connection that breaks off cannot end so: Envoy resets the client's then, and no filter
// can add to the answer.

// stall ends such a stream. Its lock is held while the stream is read or ended.
type stall struct {
	mu      sync.Mutex
	timer   *time.Timer   // nil until watch
	opening time.Duration // the longest gap until the first content; 0: no bound
	gap     time.Duration // and after it
	due     time.Time     // when the stream has stalled; zero: never
	fires   time.Time     // when the timer does, at due or before: most pieces do not set it; zero: it is not set
	ending  bool          // the last event, or an error, was read: the timer bounds the wait for the end of the connection
	ended   bool          // the end was sent to the client: what still comes is dropped
}

// duplex reports whether an answer is read in the mode Duplex, in which each piece goes
// back to Envoy.
func (s *requestStream) duplex(r *responseReader) bool {
	return s.exchange.request.Stream && r.form == expected && s.encoding != planAggregate // Envoy 1.36 does not give such an answer out
}

// stallAhead is how much sooner than Envoy's timer of the same time ours fires: Envoy
// would cut the client's connection.
func stallAhead(d time.Duration) time.Duration { return min(d/10, time.Second) }

// timerSlack is how much sooner a busy Envoy's timer may fire: at its event loop's turn.
func timerSlack(timeout time.Duration) time.Duration { return min(timeout/10, 50*time.Millisecond) }

// watch begins to watch over the stream that is read. attempt is the longest gap that
// Envoy allows; 0: it bounds none.
func (s *requestStream) watch(r *responseReader, attempt time.Duration) {
	w := &stall{opening: attempt - stallAhead(attempt)}
	r.stall = w
	if w.gap = w.opening; r.hop.Deployment.StreamIdle > 0 && (w.gap == 0 || r.hop.Deployment.StreamIdle < w.gap) {
		w.gap = r.hop.Deployment.StreamIdle
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	first := max(w.gap, endTime)
	w.fires = time.Now().Add(first)
	w.timer = s.server.guard.AfterFunc(first, "a stream that stalls", func() { s.stalled(r) })
	w.rearmLocked(r.decoder)
}

// begin locks the stream for a message that came. It reports whether the stream is still
// read; then the caller must unlock it.
func (w *stall) begin() bool {
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return false
	}
	return true
}

// endTime is how long a stream is read on after its last event or an error. The provider
// closes the connection in that time; after an error the usage may come, or the terminal
// event of the Responses API, which agents wait for.
const endTime = time.Second

// rearmLocked waits for the next piece of an answer, of which d has read what came.
func (w *stall) rearmLocked(d chat.Decoder) {
	limit := w.opening
	switch {
	case w.ending:
		return
	case d.Failed(), d.Complete():
		w.ending, limit = true, endTime
	case d.Started():
		limit = w.gap
	}
	if limit == 0 {
		w.due = time.Time{} // Envoy's timer bounds it
		return
	}
	w.due = time.Now().Add(limit)
	if w.fires.IsZero() || w.due.Before(w.fires) {
		w.fires = w.due
		w.timer.Reset(limit)
	}
}

// endLocked ends the watch.
func (w *stall) endLocked() {
	w.ended = true
	w.timer.Stop()
}

// close ends the watch; of a nil stall there is none.
func (w *stall) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLocked()
}

// stalled ends a stream whose provider has sent nothing for too long, or has sent the last
// event or an error and not closed the connection.
func (s *requestStream) stalled(r *responseReader) {
	w := r.stall
	if !w.begin() {
		return
	}
	defer w.mu.Unlock()
	w.fires = time.Time{}
	if w.due.IsZero() {
		return
	}
	if left := time.Until(w.due); left > 0 { // pieces have come since the timer was set
		w.fires = w.due
		w.timer.Reset(left)
		return
	}
	w.endLocked()
	failed := r.decoder.Failed()
	out := r.decoder.Abort(streamFailure(endedTimeout))
	s.pass(out)
	result := r.decoder.Result()
	if failed || result.Failure == nil {
		s.exchange.outcome.complete(result) // only the end of the connection was missing
	} else {
		s.exchange.outcome.stalled(result)
	}
	s.ended(result)
	_ = s.out.Send(wire.DuplexEnd(out, s.exchange.metadata())) // when the stream is gone, so is the client
}

// gap is the longest gap between bytes that Envoy allows the attempt of a hop; 0: it
// bounds none.
func (a *attempts) gap(hop *routing.Hop) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil || a.plan.ClientTimeout {
		return 0
	}
	return hop.Timeout
}
