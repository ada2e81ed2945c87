package routing

import (
	"sync"
	"sync/atomic"
	"time"
)

// Usage tells how much each deployment was used in the last minute. The Router's
// own view is this replica's; a shared limiter can put the view of all replicas
// in its place (Options.Usage).
type Usage interface {
	Used(deployment string) (requests, tokens int64)
}

// Used is what a deployment did in the sliding minute, as far as this replica
// knows.
type Used struct {
	Requests int64 // attempts begun
	Tokens   int64 // of prompts and answers, as providers counted them
	Ended    int64 // attempts whose Tokens are in
	Failures int64
}

// meterSlices is the sliding minute in slices of a second.
const meterSlices = 60

// meter counts a deployment's usage in the last 60 s, to the second: what is
// older never counts. Adding takes a small lock; reading takes it only once a
// second, and is else a handful of atomic loads. The zero meter is ready.
type meter struct {
	second atomic.Int64 // the last one that total holds for
	total  usedCounter

	mu     sync.Mutex
	slices [meterSlices]Used
}

// usedCounter is a Used that is read while it changes.
type usedCounter struct{ requests, tokens, ended, failures atomic.Int64 }

func (c *usedCounter) add(u Used, sign int64) {
	c.requests.Add(sign * u.Requests)
	c.tokens.Add(sign * u.Tokens)
	c.ended.Add(sign * u.Ended)
	c.failures.Add(sign * u.Failures)
}

func (c *usedCounter) load() Used {
	return Used{Requests: c.requests.Load(), Tokens: c.tokens.Load(), Ended: c.ended.Load(), Failures: c.failures.Load()}
}

// add counts u at now.
func (m *meter) add(now time.Time, u Used) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now.Unix())
	s := &m.slices[slot(m.second.Load(), meterSlices)]
	s.Requests += u.Requests
	s.Tokens += u.Tokens
	s.Ended += u.Ended
	s.Failures += u.Failures
	m.total.add(u, 1)
}

// used is the usage of the minute that ends at now.
func (m *meter) used(now time.Time) Used {
	if second := now.Unix(); m.second.Load() < second {
		m.mu.Lock()
		m.advance(second)
		m.mu.Unlock()
	}
	return m.total.load()
}

// advance forgets the slices that a minute has gone by since. A clock that goes
// back changes nothing.
func (m *meter) advance(second int64) {
	last := m.second.Load()
	for s := max(last+1, second-meterSlices+1); s <= second; s++ {
		old := &m.slices[slot(s, meterSlices)]
		m.total.add(*old, -1)
		*old = Used{}
	}
	if second > last {
		m.second.Store(second)
	}
}

// slot is a second's place in a ring of n.
func slot(second, n int64) int64 { return ((second % n) + n) % n }
