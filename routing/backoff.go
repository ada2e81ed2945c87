package routing

import "time"

const (
	// maxBackoff bounds the pauses this project makes by itself, unless
	// retry_after is longer.
	maxBackoff = 8 * time.Second
	// maxAsked bounds the pause that a provider can ask a request for. Beyond
	// it the client is better served by the answer, which tells it the time.
	maxAsked = 60 * time.Second
)

// pause is how long to wait before the hop of the plan that follows a failed attempt.
// There is no wait before another deployment. Before the same one again it is at
// least the configured retry_after, or what the provider asked for; before one
// that still cools, the rest of that. ok is false when that is too long to wait.
// It is in whole seconds, for Envoy takes no others.
func (r *Router) pause(p *Plan, f *failed) (pause time.Duration, ok bool) {
	hop := &p.Hops[f.n]
	most := max(maxBackoff, r.retryAfter)
	switch {
	case !hop.Again:
		return 0, true
	case f.Asked > 0:
		pause, most = ceilSecond(max(f.Asked, hop.cooldownLeft)), maxAsked
	case hop.cooldownLeft > 0:
		pause = ceilSecond(hop.cooldownLeft)
	default:
		pause = min(r.backoff(f.n), most)
	}
	if !p.Deadline.IsZero() && !f.now.Add(envoyPause(pause)).Before(p.Deadline) {
		return 0, false
	}
	return pause, pause <= most
}

// backoff grows with the attempts already made, with full jitter above
// retry_after, and is rounded to whole seconds.
func (r *Router) backoff(n int) time.Duration {
	grown := 500 * time.Millisecond << min(n-1, 4)
	jittered := time.Duration(r.float() * float64(grown))
	return (r.retryAfter + jittered).Round(time.Second)
}

// envoyPause is the longest that Envoy waits when told a pause: it adds up to
// half of it.
func envoyPause(pause time.Duration) time.Duration { return pause + pause/2 }

// ceilSecond rounds up: Envoy takes pauses in whole seconds, and coming back
// before the provider's time is a wasted attempt.
func ceilSecond(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
