package status

import (
	"strings"
	"sync"
	"time"
)

// kept is how many ended requests a History holds.
const kept = 100

// longest is how many bytes of a text that comes from outside are kept.
const longest = 160

// History is the last requests that ended and the trails of the deployments. It
// is bounded, whatever comes in, and safe for concurrent use.
type History struct {
	now func() time.Time

	mu       sync.Mutex
	count    int64 // of all requests so far
	requests [kept]Request
	trails   map[string]*trail
}

// NewHistory returns an empty History. now is the clock.
func NewHistory(now func() time.Time) *History {
	return &History{now: now, trails: map[string]*trail{}}
}

// Track says which deployments there are from now on. Those that were there keep
// their trails; attempts of others leave none.
func (h *History) Track(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := make(map[string]*trail, len(ids))
	for _, id := range ids {
		if next[id] = h.trails[id]; next[id] == nil {
			next[id] = &trail{}
		}
	}
	h.trails = next
}

// Add takes in a request that has just ended. The History keeps its Attempts.
func (h *History) Add(r Request) {
	now := h.now()
	r.Ended = now.UnixMilli()
	r.Model, r.Error = clip(r.Model), clip(r.Error)
	for i := range r.Attempts {
		r.Attempts[i].Reason = clip(r.Attempts[i].Reason)
	}
	number := sliceOf(now)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests[h.count%kept] = r
	h.count++
	for i := range r.Attempts {
		if t := h.trails[r.Attempts[i].Deployment]; t != nil {
			t.add(number, &r.Attempts[i])
		}
	}
}

// clip bounds a text and makes it valid UTF-8. A short text is returned as it is.
func clip(s string) string {
	if len(s) > longest {
		s = s[:longest] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// numbered is a request with its number since the start, from 0.
type numbered struct {
	number int64
	Request
}

// last returns the requests from number on that are still held, oldest first.
func (h *History) last(number int64) []numbered {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []numbered
	for n := max(number, h.count-kept, 0); n < h.count; n++ {
		out = append(out, numbered{n, h.requests[n%kept]})
	}
	return out
}

// trail reads the trail of every tracked deployment.
func (h *History) trail() map[string]Trail {
	number := sliceOf(h.now())
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]Trail, len(h.trails))
	for id, t := range h.trails {
		out[id] = t.read(number)
	}
	return out
}
