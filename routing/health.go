package routing

import (
	"net/http"
	"sync"
	"time"
)

// Failure is one failed attempt, as far as the deployment's health goes.
type Failure struct {
	Status     int           // of the provider's answer; 0 when none came
	RetryAfter time.Duration // what the provider asked for; 0 when nothing
	Reason     string        // short, for logs and the health report
}

// HealthPolicy says when failures cool a deployment down.
type HealthPolicy struct {
	AllowedFails int           // the n-th failure within Window cools down
	Window       time.Duration // how long a failure counts
	Cooldown     time.Duration // how long a deployment stays away; 0 = never cool
	MaxCooldown  time.Duration // bound of a provider's Retry-After
}

// Health is a deployment's state at one moment.
type Health struct {
	Cooling bool
	Until   time.Time // end of the cooldown, when Cooling
	Cause   string    // the failure that began it
	Fails   int       // failures within the window
}

// health is a circuit breaker: closed, open until a moment, then half open with
// one probe at a time.
type health struct {
	mu      sync.Mutex
	fails   []time.Time // the last failures, oldest first, at most AllowedFails
	until   time.Time   // zero: closed
	probing time.Time   // half open: when the running probe began; zero: none
	cause   string
}

// probeTimeout is how long a probe may run before another is let through: its
// outcome may never be heard of.
const probeTimeout = 60 * time.Second

// available reports whether the deployment may be chosen now.
func (h *health) available(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() {
		return true
	}
	return !now.Before(h.until) && (h.probing.IsZero() || now.Sub(h.probing) > probeTimeout)
}

// probe marks the one request that a half-open deployment gets. On a closed one
// it does nothing.
func (h *health) probe(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.until.IsZero() && !now.Before(h.until) {
		h.probing = now
	}
}

// succeed closes the breaker.
func (h *health) succeed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails, h.until, h.probing, h.cause = h.fails[:0], time.Time{}, time.Time{}, ""
}

// fail counts a failure and reports whether it cools the deployment down. alone
// says that its group has no other deployment: then the provider's own error is
// worth more to the client than a 503 of ours, and it is never cooled.
func (h *health) fail(now time.Time, f Failure, p HealthPolicy, alone bool) bool {
	if alone || p.Cooldown <= 0 || !countsAgainstHealth(f.Status) {
		h.release()
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	halfOpen := !h.until.IsZero()
	h.probing = time.Time{}
	h.fails = append(h.fails, now)
	for len(h.fails) > max(p.AllowedFails, 1) || len(h.fails) > 0 && now.Sub(h.fails[0]) > p.Window {
		h.fails = h.fails[1:]
	}
	if !halfOpen && !coolsAtOnce(f.Status) && len(h.fails) < p.AllowedFails {
		return false
	}
	pause := p.Cooldown
	if f.RetryAfter > 0 {
		pause = min(f.RetryAfter, p.MaxCooldown)
	}
	h.until, h.cause, h.fails = now.Add(pause), f.Reason, h.fails[:0]
	return true
}

// release ends a probe whose outcome says nothing about the deployment.
func (h *health) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = time.Time{}
}

func (h *health) snapshot(now time.Time, window time.Duration) Health {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Health{Until: h.until, Cause: h.cause, Cooling: now.Before(h.until)}
	for _, t := range h.fails {
		if now.Sub(t) <= window {
			s.Fails++
		}
	}
	return s
}

// coolsAtOnce lists the answers after which asking again soon cannot help: no
// quota, a key that does not work, a model that is not there.
func coolsAtOnce(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusPaymentRequired:
		return true
	}
	return false
}

// countsAgainstHealth reports whether a failure is the deployment's and not the
// client's.
func countsAgainstHealth(status int) bool {
	return status == 0 || status >= 500 || status == http.StatusRequestTimeout || coolsAtOnce(status)
}
