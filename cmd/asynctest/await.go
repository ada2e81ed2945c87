package asynctest

import (
	"testing"
	"time"
)

// patience is how long Await waits: enough for a machine that is busy with other
// tests. Only what hangs takes as long.
const patience = 2 * time.Minute

// A condition is looked at again after firstPause, and then ever less often, to
// lastPause: to look costs time that what is waited for may need.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 40 * time.Millisecond
)

// Await waits until a condition holds that another goroutine or process brings
// about; what says in words what it is. The test fails when it is not there within
// two minutes.
func Await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	AwaitWithin(tb, patience, what, condition)
}

// AwaitWithin is Await with another limit.
func AwaitWithin(tb testing.TB, limit time.Duration, what string, condition func() bool) {
	tb.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for pause := firstPause; !condition(); pause = min(pause*3/2, lastPause) {
		select {
		case <-time.After(pause):
		case <-deadline.C:
			tb.Fatalf("not within %s: %s", limit, what)
		}
	}
}
