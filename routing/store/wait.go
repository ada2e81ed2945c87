package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a request that waits for Redis beyond its budget.
const (
	waitStep = 10 * time.Millisecond
	// defaultSilence: of requests that come evenly, less than one in a hundred waits
	// 50 ms longer for a Redis that is gone for 5 s.
	defaultSilence = 100 * time.Millisecond
	// leastMaxWait bounds the wait for a Redis that answers others.
	leastMaxWait = 2 * time.Second
)

// times are how long Shared waits for what.
type times struct {
	budget     time.Duration // for Redis without asking whether it is there
	silence    time.Duration // that a server may answer no call
	maxWait    time.Duration // for a Redis that answers others
	background time.Duration // for calls that no request waits for
	start      time.Duration // for the first contact
}

// timesOf derives the times of a store from what is asked for; 0 is the default.
func timesOf(silence, budget time.Duration) times {
	if silence <= 0 {
		silence = defaultSilence
	}
	if budget <= 0 {
		budget = silence * 2 / 5
	}
	return times{
		budget: budget, silence: silence, maxWait: max(leastMaxWait, silence, budget),
		background: max(500*time.Millisecond, silence), start: max(time.Second, silence),
	}
}

// errSilent: the server has answered no call for a while.
var errSilent = errors.New("no answer in time")

// silenceTimer measures how long a server has answered none of the calls that wait for it. It
// goes by the monotonic clock: one that is set must not make a server look gone.
// It is safe for concurrent use.
type silenceTimer struct {
	pending atomic.Int64 // calls without an answer
	began   time.Time
	since   atomic.Int64 // nanoseconds after began: the last answer, or the first call after it
}

func (s *silenceTimer) callBegan() {
	if s.pending.Add(1) == 1 {
		s.reset()
	}
}

// callEnded ends a call. answered: the server said something.
func (s *silenceTimer) callEnded(answered bool) {
	s.pending.Add(-1)
	if answered {
		s.reset()
	}
}

// reset begins to measure anew.
func (s *silenceTimer) reset() { s.since.Store(int64(time.Since(s.began))) }

func (s *silenceTimer) elapsed() time.Duration {
	return time.Since(s.began) - time.Duration(s.since.Load())
}

// waitFor makes one call to Redis and waits for it: for the budget, and then as
// long as Redis answers others, or this process itself gets no time to run. A burst
// that makes everybody late is no outage, and must not give each replica limits of
// its own. What the call comes to after that is given to late.
func (s *Shared) waitFor(call func(context.Context) (Reply, error), late func(Reply, error)) (Reply, error) {
	w := &pendingCall{call: call, late: late, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), s.times.maxWait)
	defer cancel()
	s.silence.callBegan()
	s.calls.Go(func() {
		ran := s.guard.Run("a question to the shared store", func() { w.run(ctx) })
		s.silence.callEnded(ran && w.err == nil)
	})
	began, step := time.Now(), s.times.budget
	timer := time.NewTimer(step)
	defer timer.Stop()
	for {
		set := time.Now()
		select {
		case <-w.done:
			return w.reply, w.err
		case <-timer.C:
		}
		if time.Since(set) > step+waitStep {
			s.silence.reset() // it is we who were late
		}
		if s.silence.elapsed() > s.times.silence || time.Since(began) >= s.times.maxWait || !s.breaker.closed() {
			if !w.abandon() {
				return w.reply, w.err
			}
			if s.silence.elapsed() > s.times.silence {
				return Reply{}, errSilent
			}
			return Reply{}, context.DeadlineExceeded
		}
		step = waitStep
		timer.Reset(step)
	}
}

// pendingCall is a call and the wait for it, until it is done or abandoned.
type pendingCall struct {
	call func(context.Context) (Reply, error)
	late func(Reply, error)
	done chan struct{}

	mu        sync.Mutex
	over      bool // the call has ended
	abandoned bool
	reply     Reply // valid when over
	err       error
}

func (w *pendingCall) run(ctx context.Context) {
	reply, err := w.call(ctx)
	w.mu.Lock()
	w.over, w.reply, w.err = true, reply, err
	abandoned := w.abandoned
	w.mu.Unlock()
	close(w.done)
	if abandoned {
		w.late(reply, err)
	}
}

// abandon ends the wait; false: the call has ended before.
func (w *pendingCall) abandon() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
	return !w.over
}
