package store

import (
	"context"
	"time"
)

// run pays what is owed to Redis, renews the slots that are held, and looks for
// a Redis that is away, until ctx ends. It is the only goroutine that does, so
// that a slot given back is never renewed afterwards.
func (s *Shared) run(ctx context.Context) {
	defer close(s.done)
	renew := time.NewTicker(s.lease / 3)
	defer renew.Stop()
	look := time.NewTicker(probeEvery)
	defer look.Stop()
	w := watch{every: probeEvery}
	forgive := time.NewTicker(forgiveEvery)
	defer forgive.Stop()
	missing := false // blobs are, and the log has it
	for {
		var step func()
		select {
		case <-ctx.Done():
			s.pay(context.WithoutCancel(ctx), false)
			return
		case <-s.wake:
			step = func() {
				if s.breaker.closed() && s.gather(ctx) {
					s.pay(ctx, false)
				}
			}
		case <-renew.C:
			step = func() { s.pay(ctx, true) }
		case <-forgive.C:
			step = s.blobs.succeed
		case now := <-look.C:
			step = func() {
				missing = s.lookForBlobs(ctx, missing)
				if w.due(now, s.breaker.closed()) {
					s.trim(now.Sub(w.since))
					s.probe(ctx, now.Sub(w.since))
				}
			}
		}
		s.guard.Run("the shared store", step)
	}
}

// watch says when a server that is away is to be looked for: soon after it went,
// but less and less often when it goes again right after it came.
type watch struct {
	since time.Time // it was not yet away
	back  time.Time // it was first seen back
	away  bool
	asked time.Time
	every time.Duration
}

func (w *watch) due(now time.Time, closed bool) bool {
	if closed {
		if w.away {
			w.away, w.back = false, now
		}
		w.since = now
		return false
	}
	if !w.away {
		w.away = true
		if w.since.IsZero() { // since the start
			w.since = now
		}
		if now.Sub(w.back) < probeSeldom {
			w.every = min(2*w.every, probeSeldom)
		} else {
			w.every = probeEvery
		}
	}
	if now.Sub(w.asked) < w.every {
		return false
	}
	w.asked = now
	return true
}

// gather waits a moment for more settlements; false: ctx has ended.
func (s *Shared) gather(ctx context.Context) bool {
	t := time.NewTimer(coalesce)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// pay sends Redis what is owed and, when asked to, renews the held slots. What a
// call that fails was to say is not said again: a frozen server hears it when it
// wakes up, and saying it twice would count it twice.
func (s *Shared) pay(ctx context.Context, renew bool) bool {
	if !s.breaker.closed() {
		return false
	}
	if err := s.send(ctx, renew); err != nil {
		s.failed(err)
		return false
	}
	s.breaker.succeed()
	return true
}

func (s *Shared) send(ctx context.Context, renew bool) error {
	s.mu.Lock()
	due := s.debt
	s.debt = newDebt()
	if renew {
		for h := range s.held {
			due.renew(h)
		}
	}
	s.mu.Unlock()
	if due.empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.quiet)
	defer cancel()
	return s.redis.pay(ctx, due, s.lease)
}

// trim keeps the debt small while Redis is away: what has left the windows and
// the slots whose lease must be over are no longer owed.
func (s *Shared) trim(away time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.debt.forget(s.redis.clock().Unix())
	if away > s.lease {
		clear(s.debt.released)
	}
}

// probe asks whether Redis is back, with a call that writes: a server that only
// answers is of no use. Before anybody else asks it, it is told what happened
// meanwhile.
func (s *Shared) probe(ctx context.Context, away time.Duration) {
	timed, cancel := context.WithTimeout(ctx, s.times.quiet)
	defer cancel()
	peers, err := s.redis.Beat(timed, *s.last.Load())
	if err != nil {
		return
	}
	s.remind(peers.Epoch)
	if s.send(ctx, true) != nil || ctx.Err() != nil {
		return
	}
	s.replicas.Store(max(int64(peers.Replicas), s.replicas.Load()))
	s.breaker.close()
	s.log.Info("redis answers again: limits are shared", "after", away.Round(time.Millisecond))
	select { // what came while it was told
	case s.wake <- struct{}{}:
	default:
	}
}

// remind owes Redis everything this replica has charged within the last minute
// and all slots that it holds, when it has lost what it knew: it was started
// again. The other replicas do the same, so that it knows all of it once more.
func (s *Shared) remind(epoch string) {
	s.mu.Lock()
	known := s.epoch
	s.epoch = epoch
	s.mu.Unlock()
	if known == "" || known == epoch {
		return
	}
	all := s.memory.charges() // what was owed anyway is in it
	s.mu.Lock()
	clear(s.debt.windows)
	for h := range s.held {
		s.debt.renew(h)
	}
	s.mu.Unlock()
	s.settled(Settlement{Corrections: all})
}
