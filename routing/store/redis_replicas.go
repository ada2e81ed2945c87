package store

import (
	"context"
	"fmt"
	"time"
)

const addressKey = "addresses"

// addressLife is how long the address of a replica counts after it was last said.
const addressLife = 10 * time.Second

// RegisterReplica tells the other replicas the address at which they reach this one, for a
// while, and returns those of all that live, in no order.
func (r *Redis) RegisterReplica(ctx context.Context, address string) ([]string, error) {
	all, err := r.scripts.replicas.Run(ctx, r.client, []string{r.limits + addressKey}, address, addressLife.Milliseconds()).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("register this replica: %w", err)
	}
	return all, nil
}

// RegisterReplica is Redis's: see there. Without a Redis there are no others. While it is
// away the error is ErrAway.
func (s *Shared) RegisterReplica(ctx context.Context, address string) (out []string, err error) {
	if s.redis == nil {
		return nil, nil
	}
	err = s.within(ctx, &s.breaker, s.times.background, func(ctx context.Context) error {
		out, err = s.redis.RegisterReplica(ctx, address)
		return err
	})
	return out, err
}
