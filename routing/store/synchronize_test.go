package store

import (
	"testing"
	"time"
)

func TestAServerThatKeepsGoingIsLookedForLessOften(t *testing.T) {
	w := probeSchedule{every: probeEvery}
	now := time.Unix(1e9, 0)
	// outage counts how often the server is looked for within 5 s.
	outage := func() (looks int) {
		for range 50 {
			now = now.Add(100 * time.Millisecond)
			if w.due(now, false) {
				looks++
			}
		}
		now = now.Add(100 * time.Millisecond)
		w.due(now, true)
		return looks
	}
	first, again := outage(), outage()
	for range 10 {
		outage()
	}
	if last := outage(); first != 25 || again >= first || last > 1 {
		t.Errorf("looked for %d times, then %d, at last %d", first, again, last)
	}
	now = now.Add(time.Minute)
	w.due(now, true)
	if n := outage(); n != 25 {
		t.Errorf("after a good minute it was looked for %d times, want as at first", n)
	}
}
