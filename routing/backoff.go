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
// x-ratelimit-reset-* of an exhausted quota. 0: it does not say.
func RetryAfter(h upstream.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("retry-after-ms"), 64); err == nil && ms > 0 {
		return time.Duration(ms * float64(time.Millisecond))
	}
	if v := h.Get("retry-after"); v != "" {
		if seconds, err := strconv.ParseFloat(v, 64); err == nil {
			return max(time.Duration(seconds*float64(time.Second)), 0)
		}
		if date, err := http.ParseTime(v); err == nil {
			return max(date.Sub(now), 0)
		}
	}
	return rateLimitReset(h)
}

// rateLimitReset reads OpenAI's x-ratelimit-reset-requests and -tokens, which
// are Go-like durations ("1s", "6m0s", "20ms"), for the quota that has nothing
// remaining.
func rateLimitReset(h upstream.Header) time.Duration {
	var longest time.Duration
	for _, what := range []string{"requests", "tokens"} {
		if strings.TrimSpace(h.Get("x-ratelimit-remaining-"+what)) != "0" {
			continue
		}
		if d, err := time.ParseDuration(h.Get("x-ratelimit-reset-" + what)); err == nil {
			longest = max(longest, d)
		}
	}
	return longest
}

// maxBackoff bounds the pauses this project makes by itself.
const maxBackoff = 8 * time.Second

// Backoff is the pause before the attempt that follows failed attempt n of the
// plan. There is none before another deployment; before the same one again it
// is at least the configured retry_after, or what the provider asked for. It is
// in whole seconds.
func (r *Router) Backoff(p *Plan, n int, h upstream.Header, now time.Time) time.Duration {
	if n < 1 || n >= len(p.Hops) || !p.Hops[n].Again {
		return 0
	}
	if asked := RetryAfter(h, now); asked > 0 {
		return ceilSecond(min(asked, r.health.MaxCooldown))
	}
	grown := 500 * time.Millisecond << min(n-1, 4)
	jittered := time.Duration(r.float() * float64(grown)) // full jitter
	return min(r.retryAfter+jittered, max(maxBackoff, r.retryAfter)).Round(time.Second)
}

// ceilSecond rounds up: Envoy takes pauses in whole seconds, and coming back
// before the provider's time is a wasted attempt.
func ceilSecond(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }
