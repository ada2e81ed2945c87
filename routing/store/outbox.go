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
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	away := time.Now()
	for {
		select {
		case <-ctx.Done():
			s.pay(context.WithoutCancel(ctx), false)
			return
		case <-s.wake:
			if s.breaker.closed() && s.gather(ctx) {
				s.pay(ctx, false)
			}
		case <-renew.C:
			s.pay(ctx, true)
		case <-probe.C:
			if s.breaker.closed() {
				away = time.Now()
				continue
			}
			s.wait(time.Since(away))
			s.probe(ctx, time.Since(away))
		}
	}
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
	ctx, cancel := context.WithTimeout(ctx, quietBudget)
	defer cancel()
	return s.redis.pay(ctx, due, s.lease)
}

// wait keeps the debt small while Redis is away: what has left the windows and
// the slots whose lease must be over are no longer owed.
func (s *Shared) wait(away time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.debt.forget(s.redis.clock().Unix())
	if away > s.lease {
		clear(s.debt.released)
	}
}

// probe asks whether Redis is back. Before anybody else asks it, it is told what
// happened meanwhile.
func (s *Shared) probe(ctx context.Context, away time.Duration) {
	pingCtx, cancel := context.WithTimeout(ctx, quietBudget)
	defer cancel()
	if s.redis.Ping(pingCtx) != nil || s.send(ctx, true) != nil || ctx.Err() != nil {
		return
	}
	s.breaker.close()
	s.log.Info("redis answers again: limits are shared", "after", away.Round(time.Millisecond))
	select { // what came while it was told
	case s.wake <- struct{}{}:
	default:
	}
}
