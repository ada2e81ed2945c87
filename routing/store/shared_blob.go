package store

import (
	"context"
	"errors"
	"time"
)

// Blobs have a breaker of their own: they are on all nodes of a cluster, limits on
// one. A node that is away takes the cache with it, but not the limits.

// Get returns a blob within the budget, ErrMiss, or ErrAway. The blobs of a
// Shared are in Redis only.
func (s *Shared) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.within(ctx, &s.blobs, s.times.budget, func(ctx context.Context) error {
		value, err = s.redis.Get(ctx, key)
		return err
	})
	return value, err
}

// Set keeps a blob for ttl. No request should wait for it.
func (s *Shared) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.within(ctx, &s.blobs, s.times.background, func(ctx context.Context) error { return s.redis.Set(ctx, key, value, ttl) })
}

// Flush deletes all blobs whose keys begin with "namespace:". It takes as long
// as ctx lets it.
func (s *Shared) Flush(ctx context.Context, namespace string) (int64, error) {
	if s.redis == nil || !s.breaker.closed() {
		return 0, ErrAway
	}
	return s.redis.Flush(ctx, namespace)
}

// Ping asks whether Redis answers, even while it counts as away.
func (s *Shared) Ping(ctx context.Context) error {
	if s.redis == nil {
		return ErrAway
	}
	return s.redis.Ping(ctx)
}

// PutCooldown tells all replicas that a deployment is cooling down.
func (s *Shared) PutCooldown(ctx context.Context, c Cooldown) error {
	return s.within(ctx, &s.breaker, s.times.background, func(ctx context.Context) error { return s.redis.PutCooldown(ctx, c) })
}

// DropCooldown tells all replicas that a deployment's cooldown is over.
func (s *Shared) DropCooldown(ctx context.Context, deployment string) error {
	return s.within(ctx, &s.breaker, s.times.background, func(ctx context.Context) error { return s.redis.DropCooldown(ctx, deployment) })
}

// Cooldowns lists the deployments that are cooling down on any replica, in no order.
func (s *Shared) Cooldowns(ctx context.Context) (out []Cooldown, err error) {
	err = s.within(ctx, &s.breaker, s.times.background, func(ctx context.Context) error {
		out, err = s.redis.Cooldowns(ctx)
		return err
	})
	return out, err
}

// within makes one call to Redis in the time given, and tells its breaker how it
// went. That the caller's own ctx ended says nothing of Redis.
func (s *Shared) within(ctx context.Context, b *breaker, budget time.Duration, do func(context.Context) error) error {
	if s.redis == nil || !s.breaker.closed() || !b.closed() {
		return ErrAway
	}
	timed, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	err := do(timed)
	switch {
	case (err == nil || errors.Is(err, ErrMiss)) && b == &s.blobs:
		// One node's success says nothing of another's failures: run resets those.
	case err == nil:
		b.succeed()
	case ctx.Err() != nil:
	case b == &s.blobs:
		b.fail(false) // probeBlobs finds out what it means
	default:
		s.noteFailure(err)
	}
	return err
}

// probeBlobs closes the blobs' breaker when all nodes answer. When not even
// limits are answered, Redis is away as a whole; else only the cache is, and the
// log has it. missing is whether it has it already.
func (s *Shared) probeBlobs(ctx context.Context, missing bool) bool {
	if s.blobs.closed() || !s.breaker.closed() {
		return missing
	}
	pinged, done := context.WithTimeout(ctx, s.times.background)
	defer done()
	err := s.redis.Ping(pinged)
	if err == nil {
		s.blobs.close()
		if missing {
			s.log.Info("all of redis answers again: the cache is used")
		}
		return false
	}
	timed, cancel := context.WithTimeout(ctx, s.times.background)
	defer cancel()
	if _, beatErr := s.redis.Beat(timed, *s.last.Load()); beatErr != nil && ctx.Err() == nil {
		for s.breaker.closed() {
			s.noteFailure(beatErr)
		}
		return missing
	}
	if !missing && ctx.Err() == nil {
		s.log.Warn("a part of redis does not answer: the cache is not used until it does", "error", err)
	}
	return true
}
