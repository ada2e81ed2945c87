package store

import "time"

// holders are those who hold slots of one key in a Memory.
type holders struct {
	ends map[string]time.Time // by ID: the end of the lease; zero: none
	// first is not later than the earliest end; zero: no lease ends.
	first time.Time
}

func (h *holders) hold(id string, end time.Time) {
	h.ends[id] = end
	if !end.IsZero() && (h.first.IsZero() || end.Before(h.first)) {
		h.first = end
	}
}

// expire ends the leases that are over. It looks at all of them only when one
// may be.
func (h *holders) expire(now time.Time) {
	if h.first.IsZero() || now.Before(h.first) {
		return
	}
	h.first = time.Time{}
	for id, end := range h.ends {
		switch {
		case end.IsZero():
		case !now.Before(end):
			delete(h.ends, id)
		case h.first.IsZero() || end.Before(h.first):
			h.first = end
		}
	}
}
