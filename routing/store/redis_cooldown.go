package store

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

const cooldownKey = "cooldowns"

// PutCooldown notes for all replicas that a deployment is cooling down. What remains
// of its time is sent, not its end: the replicas' clocks differ.
func (r *Redis) PutCooldown(ctx context.Context, c Cooldown) error {
	remains := c.Until.Sub(r.now()).Milliseconds()
	if remains <= 0 {
		return nil
	}
	err := r.scripts.cooldown.Run(ctx, r.client, []string{r.limits + cooldownKey}, c.Deployment, remains, c.Cause).Err()
	if err != nil {
		return fmt.Errorf("share a cooldown: %w", err)
	}
	return nil
}

// DropCooldown ends a deployment's rest for all replicas.
func (r *Redis) DropCooldown(ctx context.Context, deployment string) error {
	if err := r.client.HDel(ctx, r.limits+cooldownKey, deployment).Err(); err != nil {
		return fmt.Errorf("end a cooldown: %w", err)
	}
	return nil
}

// Cooldowns lists the deployments that are cooling down, in no order.
func (r *Redis) Cooldowns(ctx context.Context) ([]Cooldown, error) {
	flat, err := r.scripts.cooldown.Run(ctx, r.client, []string{r.limits + cooldownKey}).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("list cooldowns: %w", err)
	}
	now := r.now()
	var out []Cooldown
	for ; len(flat) >= 3; flat = flat[3:] {
		ms, err := strconv.ParseInt(flat[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list cooldowns: %w", err)
		}
		out = append(out, Cooldown{Deployment: flat[0], Until: now.Add(time.Duration(ms) * time.Millisecond), Cause: flat[2]})
	}
	return out, nil
}
