package cache

import (
	"context"
	"slices"
	"sync"
	"time"
)

// flights lets one of several identical requests ask while the others wait for
// its answer. The first is the leader. How a leader ends decides what becomes of
// those that wait:
//
//   - with an answer to share: all get it;
//   - with an answer that cannot be shared: all go by themselves at once, for
//     the next answer would most likely be no better;
//   - without one, because its client left: the next one leads, in the order of
//     their coming;
//   - without one, because it failed: the same, once. After a second failure all
//     go by themselves, so that no request waits through several of them.
//
// Those who wait hold nothing but their place. flights is safe for concurrent
// use.
type flights struct {
	mu    sync.Mutex
	calls map[Key]*call
}

// call is one request that several want to make.
type call struct {
	failures int
	waiting  []chan outcome
}

// outcome is the result of a wait.
type outcome struct {
	entry *Entry // shared
	lead  bool   // it is the leader now
}

// maxFailures is how many leaders of a call may fail before the rest goes alone.
const maxFailures = 2

// turn is the part of one request in a call. A leader must end it, once.
type turn struct {
	flights *flights
	key     Key
	call    *call
	result  chan outcome // nil for one who led from the start
}

// join enters the call for key; leads tells whether the caller is its leader.
func (f *flights) join(key Key) (t *turn, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.calls[key]
	if c == nil {
		c = &call{}
		f.calls[key] = c
		return &turn{flights: f, key: key, call: c}, true
	}
	result := make(chan outcome, 1)
	c.waiting = append(c.waiting, result)
	return &turn{flights: f, key: key, call: c, result: result}, false
}

// wait returns when the caller got an entry, leads, or must go by itself: the leader did
// not share, timeout is over, or ctx ended.
func (t *turn) wait(ctx context.Context, timeout time.Duration) outcome {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case o := <-t.result:
		return o
	case <-ctx.Done():
	case <-timer.C:
	}
	t.flights.mu.Lock()
	i := slices.Index(t.call.waiting, t.result)
	if i >= 0 {
		t.call.waiting = slices.Delete(t.call.waiting, i, i+1)
	}
	t.flights.mu.Unlock()
	if i >= 0 {
		return outcome{}
	}
	return <-t.result // it came in the same moment
}

// ending is how a leader's turn ends.
type ending int

const (
	vanished ending = iota
	failed
	shared    // with an entry
	unsharing // with an answer for its own client only
)

func (t *turn) end(how ending, e *Entry) {
	f := t.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	c := t.call
	if how == failed {
		c.failures++
	}
	again := how == vanished || how == failed && c.failures < maxFailures
	if again && len(c.waiting) > 0 {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		next <- outcome{lead: true}
		return
	}
	delete(f.calls, t.key)
	for _, w := range c.waiting {
		w <- outcome{entry: e}
	}
	c.waiting = nil
}

// waiters is the number of requests that wait.
func (f *flights) waiters() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		n += len(c.waiting)
	}
	return n
}
