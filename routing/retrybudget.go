package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

// budgetSlices is how far back, in seconds, requests earn retries.
const budgetSlices = 10

// retryBudget bounds the attempts that follow a failed one, so that failures do not
// multiply the load on what still works: floor of them in each second, and
// beyond these at most share of the requests of the last ten seconds. Asking for
// a retry takes a lock; counting a request takes it once a second.
type retryBudget struct {
	share float64 // 0.2: a fifth of the requests
	floor int64   // per second

	slices [budgetSlices]budgetSlice
	mu     sync.Mutex
}

type budgetSlice struct {
	second   atomic.Int64
	requests atomic.Int64
	free     int64 // retries within the floor
	earned   int64 // retries beyond it
}

// request counts a request of the group.
func (b *retryBudget) request(now time.Time) {
	s := &b.slices[slot(now.Unix(), budgetSlices)]
	if s.second.Load() != now.Unix() {
		b.mu.Lock()
		b.turn(s, now.Unix())
		b.mu.Unlock()
	}
	s.requests.Add(1)
}

// turn makes a slice that of this second. Requests counted in the instant of
// turning may be lost: the budget is a bound, not an account.
func (b *retryBudget) turn(s *budgetSlice, second int64) {
	if s.second.Load() == second {
		return
	}
	s.requests.Store(0)
	s.free, s.earned = 0, 0
	s.second.Store(second)
}

// take asks for one retry.
func (b *retryBudget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.slices[slot(now.Unix(), budgetSlices)]
	b.turn(s, now.Unix())
	if s.free < b.floor {
		s.free++
		return true
	}
	var requests, earned int64
	for i := range b.slices {
		if old := &b.slices[i]; now.Unix()-old.second.Load() < budgetSlices {
			requests += old.requests.Load()
			earned += old.earned
		}
	}
	if float64(earned+1) > b.share*float64(requests) {
		return false
	}
	s.earned++
	return true
}
