package store

import "sync/atomic"

// maxFails is how many calls in a row may fail before the server counts as gone.
const maxFails = 3

// breaker says whether a server is to be asked. Calls report to it; only a probe
// in the background closes it again. The zero breaker is closed.
type breaker struct {
	open  atomic.Bool
	fails atomic.Int32
}

func (b *breaker) closed() bool { return !b.open.Load() }

func (b *breaker) succeed() {
	if b.fails.Load() != 0 {
		b.fails.Store(0)
	}
}

// fail counts a failure and reports whether it is the one that opens the breaker.
// sure: one is enough.
func (b *breaker) fail(sure bool) bool {
	return (b.fails.Add(1) >= maxFails || sure) && b.open.CompareAndSwap(false, true)
}

func (b *breaker) close() {
	b.fails.Store(0)
	b.open.Store(false)
}
