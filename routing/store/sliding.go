package store

import (
	"slices"
	"time"
)

// sliding is one window of Memory: the slices that have charges, oldest first.
// The zero value is an empty window.
type sliding struct {
	at     int64 // the second up to which slices were dropped
	last   int64 // the newest slice that was charged
	sum    int64
	slices []charged
}

type charged struct{ second, n int64 }

// advance drops the slices that have left the window by the second now. A clock
// that steps back a little changes nothing; one that steps back by more than the
// window empties it.
func (w *sliding) advance(now int64) {
	if now < w.at-span {
		*w = sliding{at: now, slices: w.slices[:0]}
	}
	w.at = max(w.at, now)
	n := 0
	for n < len(w.slices) && w.slices[n].second < w.at-span {
		w.sum -= w.slices[n].n
		n++
	}
	w.slices = slices.Delete(w.slices, 0, n)
}

// add changes the charge of a slice, which must not be later than now.
func (w *sliding) add(second, delta int64) {
	if second < w.at-span || delta == 0 {
		return
	}
	i, found := slices.BinarySearchFunc(w.slices, second, func(c charged, s int64) int { return int(c.second - s) })
	switch {
	case !found && delta < 0:
		return
	case !found:
		w.slices = slices.Insert(w.slices, i, charged{second: second})
	}
	delta = max(delta, -w.slices[i].n)
	w.slices[i].n += delta
	w.sum += delta
	if delta > 0 {
		w.last = max(w.last, second)
	}
}

// room reports whether a charge fits, and if not, when it will.
func (w *sliding) room(want Window, now time.Time) (wait time.Duration, ok bool) {
	need := w.sum + min(want.Cost, want.Limit) - want.Limit
	if need <= 0 {
		return 0, true
	}
	for _, c := range w.slices {
		if need -= c.n; need <= 0 {
			return time.Unix(c.second+span+1, 0).Sub(now), false
		}
	}
	return MaxWait, false
}

func (w *sliding) usage(now time.Time) Usage {
	u := Usage{Used: w.sum}
	if w.sum > 0 {
		u.Reset = min(max(time.Unix(w.last+span+1, 0).Sub(now), 0), MaxWait)
	}
	return u
}
