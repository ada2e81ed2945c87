package store

import (
	"context"
	"time"
)

// run sends Redis what is in the outbox, renews the slots that are held, and probes a
// Redis that is away, until ctx ends. It is the only goroutine that does, so that a
// slot given back is never renewed afterwards.
func (s *Shared) run(ctx context.Context) {
	defer close(s.done)
	renew := time.NewTicker(s.lease / 3)
	defer renew.Stop()
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	schedule := probeSchedule{every: probeEvery}
	resetBlobs := time.NewTicker(resetBlobsEvery)
	defer resetBlobs.Stop()
	missing := false // the log says that blobs are away
	for {
		var step func()
		select {
		case <-ctx.Done():
			s.flush(context.WithoutCancel(ctx), false)
			return
		case <-s.wake:
			step = func() {
				if s.breaker.closed() && s.gather(ctx) {
					s.flush(ctx, false)
				}
			}
		case <-renew.C:
			step = func() { s.flush(ctx, true) }
		case <-resetBlobs.C:
			step = s.blobs.succeed
		case now := <-probe.C:
			step = func() {
				missing = s.probeBlobs(ctx, missing)
				if schedule.due(now, s.breaker.closed()) {
					away := now.Sub(schedule.since)
					s.trim(away)
					s.probe(ctx, away)
				}
			}
		}
		s.guard.Run("the shared store", step)
	}
}

// probeSchedule says when a server that is away is to be probed: soon after it went,
// but less and less often when it goes again right after it came back.
type probeSchedule struct {
	since time.Time // when it was last not away
	back  time.Time // when it last came back
	away  bool
	asked time.Time // the last probe
	every time.Duration
}

// due reports whether to probe now. closed is the breaker's state: the server answers.

func (w *probeSchedule) due(now time.Time, closed bool) bool {
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

// flush sends Redis what is in the outbox and, when asked to, renews the held slots. It
// reports whether Redis took it. What Redis refused stays in the outbox. What a call
// without an answer was to say is not sent again: a frozen server reads it when it goes
// on, and would count it twice.
func (s *Shared) flush(ctx context.Context, renew bool) bool {
	if !s.breaker.closed() {
		return false
	}
	if err := s.deliver(ctx, renew); err != nil {
		s.noteFailure(err)
		return false
	}
	s.breaker.succeed()
	return true
}

func (s *Shared) deliver(ctx context.Context, renew bool) error {
	s.mu.Lock()
	due, epoch := s.outbox, s.epoch
	s.outbox = newOutbox()
	if renew {
		for h := range s.held {
			due.renew(h)
		}
	}
	s.mu.Unlock()
	if due.empty() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.times.background)
	defer cancel()
	err := s.redis.deliver(ctx, due, s.lease)
	if err != nil {
		s.restore(due, epoch)
	}
	return err
}

// restore puts into the outbox what was taken out of it, and is not done for certain.
// epoch is that of Redis when it was taken: when it is another one by now, resync has put
// all charges into the outbox. What is in it is bounded by what the Memory counts and by
// the slots that were given back within a lease: see trim.
func (s *Shared) restore(due *outbox, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		s.outbox.restoreWindows(due)
	}
	for h := range due.released {
		if !s.holds(h) { // it was not taken again meanwhile
			s.outbox.released[h] = struct{}{}
		}
	}
	for h := range due.renewed {
		if s.holds(h) {
			s.outbox.renew(h)
		}
	}
}

// trim keeps the outbox small while Redis is away: it drops what has left the windows,
// and slots whose lease must be over.
func (s *Shared) trim(away time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outbox.dropExpired(s.redis.clock().Unix())
	if away > s.lease {
		clear(s.outbox.released)
	}
}

// probe asks whether Redis is back, with a call that writes: a server that only
// answers is of no use. Before any request asks it, it is sent what happened meanwhile.
func (s *Shared) probe(ctx context.Context, away time.Duration) {
	timed, cancel := context.WithTimeout(ctx, s.times.background)
	defer cancel()
	peers, err := s.redis.Beat(timed, *s.last.Load())
	if err != nil {
		return
	}
	s.resync(peers.Epoch)
	if s.deliver(ctx, true) != nil || ctx.Err() != nil {
		return
	}
	s.replicas.Store(max(int64(peers.Replicas), s.replicas.Load()))
	s.foreign.Store(int64(peers.Foreign))
	s.breaker.close()
	s.log.Info("redis answers again: limits are shared", "after", away.Round(time.Millisecond))
	select { // what came while it was told
	case s.wake <- struct{}{}:
	default:
	}
}

// resync puts everything that this replica has charged within the last minute, and all
// slots that it holds, into the outbox when the epoch shows that Redis has lost its
// data. The other replicas do the same, so that it has all of it once more.
func (s *Shared) resync(epoch string) {
	s.mu.Lock()
	known := s.epoch
	s.epoch = epoch
	s.mu.Unlock()
	if known == "" || known == epoch {
		return
	}
	all := s.memory.charges() // those in the outbox are among them
	s.mu.Lock()
	clear(s.outbox.windows)
	for h := range s.held {
		s.outbox.renew(h)
	}
	s.mu.Unlock()
	s.enqueue(Settlement{Corrections: all})
}
