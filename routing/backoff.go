package routing

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// RetryAfter reads how long a provider asks to be left alone: retry-after-ms,
// retry-after in seconds (fractions too) or as a date, else the longest
// x-ratelimit-reset-* of an exhausted quota. 0: it does not say. It is a day at
// most.
func RetryAfter(h upstream.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("retry-after-ms"), 64); err == nil && ms > 0 {
		return waitSeconds(ms / 1000)
	}
	if v := h.Get("retry-after"); v != "" {
		if seconds, err := strconv.ParseFloat(v, 64); err == nil {
			return waitSeconds(seconds)
		}
		if date, err := http.ParseTime(v); err == nil {
			return waitSeconds(date.Sub(now).Seconds())
		}
	}
	var longest time.Duration
	for _, what := range []string{"requests", "tokens"} {
		if strings.TrimSpace(h.Get("x-ratelimit-remaining-"+what)) == "0" {
			longest = max(longest, resetIn(h.Get("x-ratelimit-reset-"+what), now))
		}
	}
	return longest
}

// longestWait bounds what a header can say: what is longer is a mistake.
const longestWait = 24 * time.Hour

// waitSeconds makes a wait of a number that may be anything.
func waitSeconds(seconds float64) time.Duration {
	if !(seconds > 0) { // not a number, too
		return 0
	}
	return time.Duration(min(seconds, longestWait.Seconds()) * float64(time.Second))
}

// resetIn reads when a quota is full again: OpenAI's Go-like durations ("1s",
// "6m0s", "20ms"), seconds, or a Unix time.
func resetIn(v string, now time.Time) time.Duration {
	if d, err := time.ParseDuration(v); err == nil {
		return waitSeconds(d.Seconds())
	}
	n, err := strconv.ParseFloat(v, 64)
	switch {
	case err != nil:
		return 0
	case n >= 1e9: // no wait is 30 years long
		return waitSeconds(n - float64(now.Unix()))
	}
	return waitSeconds(n)
}

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
		pause, most = ceilSecond(max(f.Asked, hop.rest)), maxAsked
	case hop.rest > 0:
		pause = ceilSecond(hop.rest)
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
