package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

// health is a circuit breaker: closed, open until a moment, then half open with
// one probe at a time. Asking a closed one takes no lock.
type health struct {
	until  atomic.Int64 // end of the cooldown in Unix nanoseconds; 0: closed
	streak atomic.Int64 // failures since the last good answer

	mu    sync.Mutex
	fails []time.Time // the last failures, oldest first, at most AllowedFails
	lease time.Time   // half open: a probe keeps others away until then
	cause string
}

const (
	// claimTime is how long a plan may keep a half-open deployment for its
	// first attempt before that attempt begins: it may never.
	claimTime = 2 * time.Second
	// probeTime is how long a probe may run before another is let through: its
	// outcome may never be heard of.
	probeTime = 60 * time.Second
)

// phase is where a breaker stands.
type phase int

const (
	healthy phase = iota
	cooling
	halfOpen // and free for a probe
	probing
)

// phase is where the breaker stands now.
func (h *health) phase(now time.Time) phase {
	until := h.until.Load()
	switch {
	case until == 0:
		return healthy
	case now.UnixNano() < until:
		return cooling
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.lease) {
		return probing
	}
	return halfOpen
}

// claim keeps a deployment that is half open, or will be after a pause, for one
// request. It reports false when another request was faster.
func (h *health) claim(now time.Time, pause time.Duration) bool {
	if h.until.Load() == 0 {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.lease) {
		return false
	}
	h.lease = now.Add(envoyPause(pause) + claimTime)
	return true
}

// begin makes the attempt that starts now the probe of a half-open deployment.
func (h *health) begin(now time.Time) {
	if until := h.until.Load(); until == 0 || now.UnixNano() < until {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease = now.Add(probeTime)
}

// succeed notes a good answer, which closes a half-open breaker. It reports
// whether it did: an answer to a request that began before the cooldown does not
// end it.
func (h *health) succeed(now time.Time) bool {
	if h.streak.Load() != 0 {
		h.streak.Store(0)
	}
	if until := h.until.Load(); until == 0 || now.UnixNano() < until {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.close()
	return true
}

func (h *health) close() {
	h.until.Store(0)
	h.fails, h.lease, h.cause = h.fails[:0], time.Time{}, ""
}

// fail counts a failure and reports whether it begins a cooldown. frequent says
// that failures are a considerable share of the deployment's attempts.
func (h *health) fail(now time.Time, o Outcome, p HealthPolicy, frequent bool) bool {
	streak := h.streak.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.until.Load()
	if now.UnixNano() < until {
		return h.prolong(now, o, p)
	}
	h.lease = time.Time{}
	h.fails = append(h.fails, now)
	for len(h.fails) > max(p.AllowedFails, 1) || now.Sub(h.fails[0]) > p.Window {
		h.fails = h.fails[1:]
	}
	allowed := int64(max(p.AllowedFails, 1))
	reached := int64(len(h.fails)) >= allowed && (streak >= allowed || frequent)
	if until == 0 && !o.Nowhere && effectsOf(o.Kind).health != cools && !reached {
		return false
	}
	pause := p.Cooldown
	if o.RetryAfter > 0 {
		pause = min(o.RetryAfter, p.MaxCooldown)
	}
	h.open(now.Add(pause), o.Reason)
	return true
}

// prolong takes in a failure of an attempt that was running when the cooldown
// began: it says nothing new, unless the provider asks for more time.
func (h *health) prolong(now time.Time, o Outcome, p HealthPolicy) bool {
	until := now.Add(min(o.RetryAfter, p.MaxCooldown))
	if o.RetryAfter <= 0 || until.UnixNano() <= h.until.Load() {
		return false
	}
	h.open(until, o.Reason)
	return true
}

// open begins a cooldown; its end is kept in milliseconds, as a store has it.
func (h *health) open(until time.Time, cause string) {
	until = until.Truncate(time.Millisecond)
	h.until.Store(until.UnixNano())
	h.cause, h.fails, h.lease = cause, h.fails[:0], time.Time{}
}

// endProbe ends a probe whose outcome says nothing about the deployment.
func (h *health) endProbe() {
	if h.until.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease = time.Time{}
}

// adopt takes over a cooldown that another replica has begun. One that ends
// later here stays.
func (h *health) adopt(until time.Time, cause string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.UnixNano() > h.until.Load() {
		h.open(until, cause)
	}
}

// dropAdopted ends a cooldown that was adopted and that its replica has ended: until
// says which one.
func (h *health) dropAdopted(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.Load() == until.UnixNano() {
		h.close()
	}
}

// cooldown is the end of the cooldown and the failure that began it; zero when
// closed.
func (h *health) cooldown() (until time.Time, cause string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.until.Load(); n != 0 {
		until = time.Unix(0, n)
	}
	return until, h.cause
}
