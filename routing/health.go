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

	mu      sync.Mutex
	fails   map[class][]time.Time // the last failures of each class that is counted by itself, oldest first
	lease   time.Time             // half open: a probe keeps others away until then
	repeats int                   // cooldowns that followed one another without a good answer between them
	cause   string
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
	clear(h.fails)
	h.lease, h.cause, h.repeats = time.Time{}, "", 0
}

// fail counts a failure and reports whether it begins a cooldown. frequent says
// that failures are a considerable share of the deployment's attempts. One of an
// attempt that began after the last cooldown makes the next longer.
func (h *health) fail(now time.Time, o Outcome, p *HealthPolicy, frequent bool) bool {
	streak := h.streak.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	until := h.until.Load()
	if now.UnixNano() < until {
		return h.prolong(now, o, p)
	}
	h.lease = time.Time{}
	c, allowed, atOnce := p.threshold(o)
	count := h.count(now, c, allowed, p.Window)
	reached := count >= allowed && (streak >= int64(allowed) || frequent)
	if until == 0 && !atOnce && !reached {
		return false
	}
	if until != 0 && now.Add(-o.Total).UnixNano() >= until {
		h.repeats++
	}
	pause := p.grown(h.repeats)
	if o.RetryAfter > 0 {
		pause = min(o.RetryAfter, p.MaxCooldown)
	}
	h.open(now.Add(pause), o.Reason)
	return true
}

// count adds a failure of a class and returns how many there were of it lately; more
// than allowed are not kept.
func (h *health) count(now time.Time, c class, allowed int, window time.Duration) int {
	fails := append(h.fails[c], now)
	for len(fails) > allowed || now.Sub(fails[0]) > window {
		fails = fails[1:]
	}
	if h.fails == nil {
		h.fails = make(map[class][]time.Time)
	}
	h.fails[c] = fails
	return len(fails)
}

// prolong takes in a failure of an attempt that was running when the cooldown
// began: it says nothing new, unless the provider asks for more time.
func (h *health) prolong(now time.Time, o Outcome, p *HealthPolicy) bool {
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
	clear(h.fails)
	h.cause, h.lease = cause, time.Time{}
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
// later here stays. One that begins after the last was over tells that the deployment
// failed again there: it counts as if it had here.
func (h *health) adopt(now, until time.Time, cause string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := h.until.Load()
	if until.UnixNano() <= last {
		return
	}
	if last != 0 && now.UnixNano() >= last {
		h.repeats++
	}
	h.open(until, cause)
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

// repeated is how many cooldowns there were since the one that began after a good
// answer.
func (h *health) repeated() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.repeats
}
