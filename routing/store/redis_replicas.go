package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// addressLife is how long the address of a replica counts after it was last said.
const addressLife = 10 * time.Second

// RegisterReplica tells the other replicas the address at which they reach this one, for a
// while, and returns those of all that live, in no order.
func (r *Redis) RegisterReplica(ctx context.Context, address string) ([]string, error) {
	all, err := r.list(ctx, r.scripts.replicas, r.keys.shared+"addresses", address, addressLife.Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("register this replica: %w", err)
	}
	return slices.DeleteFunc(all, func(each string) bool {
		host, port, err := net.SplitHostPort(each)
		bad := err != nil || host == "" || port == "" || len(each) > maxAddress
		if bad {
			r.skipped.add(addressKind, 1)
		}
		return bad
	}), nil
}

// maxAddress is the longest address of a replica in bytes: a host name and a port.
const maxAddress = 261

// list runs a script over one key that tells what it has skipped, and then a list.
func (r *Redis) list(ctx context.Context, script *redis.Script, key string, args ...any) ([]string, error) {
	out, err := script.Run(ctx, r.once, []string{key}, args...).StringSlice()
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("redis answered nothing")
	}
	in := reader{text: out[0]}
	if r.skipped.read(&in); in.bad {
		return nil, fmt.Errorf("redis answered %q", out[0])
	}
	return out[1:], nil
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
