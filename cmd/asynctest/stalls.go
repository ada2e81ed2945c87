package asynctest

import (
	"sync"
	"testing"
	"time"
)

// nap is how long Stalls sleeps at a time; a sleep that is late by less than grain
// is what any machine does.
const (
	nap   = time.Millisecond
	grain = 5 * time.Millisecond
)

// Stalls adds up how late the machine is in waking a process that only sleeps, for
// as long as a test runs. A bound on a time that several busy processors decide is
// judged by it: what the machine did not give, the program did not waste. It is
// safe for concurrent use.
type Stalls struct {
	mu   sync.Mutex
	lost time.Duration // in the sleeps that are over
	nap  time.Time     // when the one that runs began
}

// WatchStalls begins to watch, until the test ends.
func WatchStalls(tb testing.TB) *Stalls {
	tb.Helper()
	s := &Stalls{nap: time.Now()}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-time.After(nap):
				s.wake()
			case <-end:
				return
			}
		}
	}()
	tb.Cleanup(func() { close(end); <-ended })
	return s
}

func (s *Stalls) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.lost += late(now.Sub(s.nap))
	s.nap = now
}

// sum includes how late the sleep that runs is by now.
func (s *Stalls) sum() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost + late(time.Since(s.nap))
}

func late(slept time.Duration) time.Duration {
	if slept < nap+grain {
		return 0
	}
	return slept - nap
}

// Clock begins to measure one thing. The function it returns says how long that
// took so far, and how much of it the machine was late.
func (s *Stalls) Clock() func() (took, late time.Duration) {
	began, before := time.Now(), s.sum()
	return func() (time.Duration, time.Duration) {
		took := time.Since(began)
		return took, s.sum() - before
	}
}
