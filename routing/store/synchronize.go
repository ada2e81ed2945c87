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
	last  time.Time // the last probe
	every time.Duration
}

// due reports whether to probe now. closed is the state of the breaker: the server
// answers.
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
	if now.Sub(w.last) < w.every {
		return false
	}
	w.last = now
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
// reports whether Redis took it. What it did not is sent again.
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

// unanswered is a call of settle.lua without a reply: it may have run, may run later, or
// never. It is made again with the same number, so that it counts once. Slots are not in
// it: giving them back and renewing them is idempotent.
type unanswered struct {
	windows *outbox
	number  int64
}

// pieceSize bounds the windows, the slots given back and the slots renewed in one call of
// settle.lua.
const pieceSize = 500

// deliver sends what is in the outbox, in pieces so short that the server is not blocked
// for long. What fails goes back into the outbox, or into s.unanswered.
func (s *Shared) deliver(ctx context.Context, renew bool) error {
	s.mu.Lock()
	due, again, epoch := s.outbox, s.unanswered, s.epoch
	s.outbox = newOutbox()
	if renew {
		for h := range s.held {
			due.renew(h)
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.times.background)
	defer cancel()
	if again != nil {
		err := s.redis.settle(ctx, again.windows, s.lease, callNumber{epoch, again.number})
		if err == nil || replied(err) && !refused(err) {
			s.mu.Lock()
			s.unanswered = nil
			s.mu.Unlock()
		}
		if err != nil {
			s.restore(due, epoch, nil)
			return err
		}
	}
	for !due.empty() {
		piece := due.take(pieceSize)
		s.number++
		err := s.redis.settle(ctx, piece, s.lease, callNumber{epoch, s.number})
		if err == nil {
			continue
		}
		var lost *unanswered
		switch {
		case refused(err):
			due.restore(piece)
		case !replied(err):
			lost = &unanswered{&outbox{windows: piece.windows}, s.number}
			due.restore(&outbox{released: piece.released, renewed: piece.renewed})
		}
		s.restore(due, epoch, lost)
		return err
	}
	return nil
}

// restore puts back into the outbox what was taken out of it and has surely not been
// carried out, and keeps lost (nil: none) as the unanswered call. epoch is that of Redis
// when it was taken: if it has changed since, resync has put all charges into the outbox.
// The outbox is bounded by what the Memory counts and by the slots that were given back
// within a lease: see trim.
func (s *Shared) restore(due *outbox, epoch string, lost *unanswered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		s.outbox.restoreWindows(due)
		if lost != nil && len(lost.windows.windows) > 0 {
			s.unanswered = lost
		}
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
	s.wakeUp()
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
	known := s.knownEpoch()
	peers, err := s.redis.Beat(timed, *s.last.Load())
	if err != nil {
		return
	}
	s.resync(known, peers.Epoch)
	if s.deliver(ctx, true) != nil || ctx.Err() != nil {
		return
	}
	s.replicas.Store(max(int64(peers.Replicas), s.replicas.Load()))
	s.foreign.Store(int64(peers.Foreign))
	s.breaker.close()
	s.log.Info("redis answers again: limits are shared", "after", away.Round(time.Millisecond))
	s.wakeUp() // for what was enqueued meanwhile
}

// resync puts everything that this replica has charged within the last minute, and all
// slots that it holds, into the outbox when the epoch shows that Redis has lost its
// data. The other replicas do the same, so that it has all of it once more. Redis
// refuses calls of the old epoch, so that nothing counts twice. known is the epoch when
// Redis was asked: if another answer has changed it since, this one is ignored.
func (s *Shared) resync(known, epoch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != known || known == epoch {
		return
	}
	s.epoch = epoch
	if known == "" {
		return
	}
	s.unanswered = nil
	clear(s.outbox.windows)
	for _, c := range s.memory.charges() { // those in the outbox are among them
		s.outbox.correct(c)
	}
	for h := range s.held {
		s.outbox.renew(h)
	}
	s.wakeUp()
}
