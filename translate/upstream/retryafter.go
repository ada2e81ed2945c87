package upstream

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// This file is the one reader of how long a server asks to be left alone: what the
// header says ([RetryAfter]), else what the body does ([ReadError] asks both and
// keeps the answer in [Error.RetryAfter]).

// MaxRetryAfter bounds what a server can ask for: what is longer is a mistake.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter reads how long the header of an answer asks to wait: retry-after-ms,
// retry-after in seconds (fractions too) or as a date, else the longest
// x-ratelimit-reset-* of an exhausted quota. 0: it does not say. It is
// [MaxRetryAfter] at most. Dates are compared with the answer's own Date where it
// has one, so that a clock that is off does no harm, else with now. The header is a
// [Header] or an http.Header; it is asked for names in lower case.
func RetryAfter(h interface{ Get(name string) string }, now time.Time) time.Duration {
	if date, err := http.ParseTime(h.Get("date")); err == nil {
		now = date
	}
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

// WholeSeconds is a wait as retry-after tells it: in whole seconds, at least 1, and
// rounded up, for who comes back too early is refused again.
func WholeSeconds(wait time.Duration) int {
	return int((max(wait, time.Second) + time.Second - 1) / time.Second)
}

// waitSeconds makes a wait of a number that may be anything.
func waitSeconds(seconds float64) time.Duration {
	if !(seconds > 0) { // not a number, too
		return 0
	}
	return time.Duration(min(seconds, MaxRetryAfter.Seconds()) * float64(time.Second))
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

// readWait sets RetryAfter: to what the header says, else to what the body said
// (RetryInfo, which is read with the body's members), else to what the message says
// of a rate limit or of a busy server. A wait that only the body tells becomes the
// field retry-after, in whole seconds and rounded up, so that clients wait too.
func (e *Error) readWait(h Header, now time.Time) {
	if wait := RetryAfter(h, now); wait > 0 {
		e.RetryAfter = wait
		return
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, statusOverloaded:
		if e.RetryAfter == 0 {
			e.RetryAfter = messageWait(e.Message)
		}
	}
	if e.RetryAfter > 0 && e.Header.Get("retry-after") == "" && e.Header.Get("retry-after-ms") == "" {
		e.Header.Set("retry-after", strconv.Itoa(WholeSeconds(e.RetryAfter)))
	}
}

// readDetails reads the details of a google.rpc.Status: the longest delay of a
// RetryInfo, as in {"retryDelay":"26.5s"}, and the reasons of ErrorInfos. Details of
// any other shape say nothing.
// https://cloud.google.com/apis/design/errors#error_model
func readDetails(details jsontext.Value) (wait time.Duration, reasons []string) {
	if details.Kind() != '[' {
		return 0, nil
	}
	var infos []jsontext.Value
	if Unmarshal(details, &infos) != nil {
		return 0, nil
	}
	for _, v := range infos {
		var info struct {
			RetryDelay string `json:"retryDelay"`
			Reason     string `json:"reason"`
		}
		if v.Kind() != '{' || Unmarshal(v, &info) != nil {
			continue
		}
		if info.Reason != "" {
			reasons = append(reasons, info.Reason)
		}
		if seconds, err := strconv.ParseFloat(strings.TrimSuffix(info.RetryDelay, "s"), 64); err == nil {
			wait = max(wait, waitSeconds(seconds))
		}
	}
	return wait, reasons
}

// waitPhrase finds a wait in a message: "Please try again in 7m12s" (OpenAI, Groq),
// "Please retry in 26.5s" (Google), "Please retry after 9 seconds" (Azure).
var waitPhrase = regexp.MustCompile(`(?i)\b(?:try again|retry) (?:in|after) (\d[\dhms.]*)(?: (milli)?(second|minute|hour)s?\b)?`)

// messageWait is the wait that a message tells; 0: it tells none, or has no unit.
func messageWait(message string) time.Duration {
	found := waitPhrase.FindStringSubmatch(message)
	if found == nil {
		return 0
	}
	number := strings.TrimRight(found[1], ".") // that of the sentence's end
	if d, err := time.ParseDuration(number); err == nil {
		return waitSeconds(d.Seconds())
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0
	}
	if found[2] != "" {
		n /= 1000
	}
	switch strings.ToLower(found[3]) {
	case "second":
		return waitSeconds(n)
	case "minute":
		return waitSeconds(n * 60)
	case "hour":
		return waitSeconds(n * 3600)
	}
	return 0
}
