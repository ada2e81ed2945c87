package store

import (
	"context"
	"errors"
	"time"
)

// Get returns a blob within the budget, ErrMiss, or ErrAway. The blobs of a
// Shared are in Redis only.
func (s *Shared) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.within(ctx, s.budget, func(ctx context.Context) error {
		value, err = s.redis.Get(ctx, key)
		return err
	})
	return value, err
}

// Set keeps a blob for ttl. No request should wait for it.
func (s *Shared) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.within(ctx, quietBudget, func(ctx context.Context) error { return s.redis.Set(ctx, key, value, ttl) })
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

// PutCooldown tells all replicas that a deployment is at rest.
func (s *Shared) PutCooldown(ctx context.Context, c Cooldown) error {
	return s.within(ctx, quietBudget, func(ctx context.Context) error { return s.redis.PutCooldown(ctx, c) })
}

// DropCooldown tells all replicas that a deployment's rest is over.
func (s *Shared) DropCooldown(ctx context.Context, deployment string) error {
	return s.within(ctx, quietBudget, func(ctx context.Context) error { return s.redis.DropCooldown(ctx, deployment) })
}

// Cooldowns lists the deployments at rest on any replica, in no order.
func (s *Shared) Cooldowns(ctx context.Context) (out []Cooldown, err error) {
	err = s.within(ctx, quietBudget, func(ctx context.Context) error {
		out, err = s.redis.Cooldowns(ctx)
		return err
	})
	return out, err
}

// within makes one call to Redis in the time given, and tells the breaker how it
// went. That the caller's own ctx ended says nothing of Redis.
func (s *Shared) within(ctx context.Context, budget time.Duration, do func(context.Context) error) error {
	if s.redis == nil || !s.breaker.closed() {
		return ErrAway
	}
	timed, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	err := do(timed)
	switch {
	case err == nil || errors.Is(err, ErrMiss):
		s.breaker.succeed()
	case ctx.Err() == nil:
		s.failed(err)
	}
	return err
}
