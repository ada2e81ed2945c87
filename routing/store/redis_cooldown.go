package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// PutCooldown notes for all replicas that a deployment is cooling down. What remains
// of its time is sent, not its end: the replicas' clocks differ.
func (r *Redis) PutCooldown(ctx context.Context, c Cooldown) error {
	remains := c.Until.Sub(r.now()).Milliseconds()
	if remains <= 0 {
		return nil
	}
	if _, err := r.cooldowns(ctx, c.Deployment, remains, c.Cause); err != nil {
		return fmt.Errorf("share a cooldown: %w", err)
	}
	return nil
}

// DropCooldown ends a deployment's rest for all replicas.
func (r *Redis) DropCooldown(ctx context.Context, deployment string) error {
	if _, err := r.cooldowns(ctx, deployment); err != nil {
		return fmt.Errorf("end a cooldown: %w", err)
	}
	return nil
}

// maxCause is how much of a cooldown's cause is believed, in bytes.
const maxCause = 256

// Cooldowns lists the deployments that are cooling down, in no order.
func (r *Redis) Cooldowns(ctx context.Context) ([]Cooldown, error) {
	flat, err := r.cooldowns(ctx)
	if err != nil {
		return nil, fmt.Errorf("list cooldowns: %w", err)
	}
	now := r.now()
	var out []Cooldown
	for ; len(flat) >= 3; flat = flat[3:] {
		ms, err := strconv.ParseInt(flat[1], 10, 64)
		if err != nil {
			r.skipped.add(cooldownKind, 1)
			continue
		}
		out = append(out, Cooldown{
			Deployment: flat[0], Until: now.Add(time.Duration(ms) * time.Millisecond), Cause: upstream.Clip(flat[2], maxCause),
		})
	}
	return out, nil
}

// cooldowns runs cooldown.lua and returns what it lists.
func (r *Redis) cooldowns(ctx context.Context, args ...any) ([]string, error) {
	return r.list(ctx, r.scripts.cooldown, r.keys.own+"cooldowns", args...)
}
