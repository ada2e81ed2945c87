package routing

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// exploration is the share of requests that latency-based gives to deployments
// that are not the fastest, so that one that has become fast again is noticed.
const exploration = 0.03

// latencyBased chooses the deployment that has answered fastest lately: by the
// time to the first token for streams, by the time per token of the answer where
// all candidates have reported tokens, else by the whole time. One that was
// never measured comes first, but only one request at a time measures it while
// others are known.
type latencyBased struct {
	float  func() float64
	buffer float64 // deployments within (1+buffer) of the fastest share the requests
}

func (s latencyBased) Pick(call *Call, from []*Deployment) int {
	if len(from) == 1 {
		return 0
	}
	kind := measure(call, from)
	if i, ok := s.unmeasured(from, kind); ok {
		return i
	}
	best := math.Inf(1)
	for _, d := range from {
		if v := expected(d, kind); v > 0 {
			best = min(best, v)
		}
	}
	limit := best * (1 + s.buffer)
	explore := s.float() < exploration
	chosen, equals := -1, 0.0
	for i, d := range from {
		v := expected(d, kind)
		if near := v > 0 && v <= limit; near == explore {
			continue
		}
		equals++
		if s.float()*equals < 1 {
			chosen = i
		}
	}
	if chosen < 0 { // all are near the fastest
		return int(s.float() * float64(len(from)))
	}
	return chosen
}

// crowd is with how many requests running a deployment counts as twice as slow.
// What it will take is only known when its answers are in: without this, all
// requests would go to the fastest deployment until it is the slowest.
const crowd = 8.0

// expected is how long a deployment is expected to take, given what runs on it;
// 0 when it was never measured.
func expected(d *Deployment, kind paceKind) float64 {
	return d.pace.of(kind) * (1 + float64(d.InFlight())/crowd)
}

// unmeasured finds the least busy deployment without a measure. It has none to
// offer while each is being measured and others are known already.
func (s latencyBased) unmeasured(from []*Deployment, kind paceKind) (int, bool) {
	chosen, load, equals, known := -1, int64(0), 0.0, false
	for i, d := range from {
		if d.pace.of(kind) > 0 {
			known = true
			continue
		}
		switch n := d.InFlight(); {
		case chosen < 0 || n < load:
			chosen, load, equals = i, n, 1
		case n == load:
			equals++
			if s.float()*equals < 1 {
				chosen = i
			}
		}
	}
	return chosen, chosen >= 0 && (!known || load == 0)
}

// paceKind is what is compared: never seconds with seconds per token.
type paceKind int

const (
	paceFirstToken paceKind = iota
	pacePerToken
	paceTotal
)

// measure says what to compare the deployments by. A provider that reports no
// tokens must not stay unmeasured for ever, so the whole time serves for all
// when one has only that.
func measure(call *Call, from []*Deployment) paceKind {
	if call.Request.Stream {
		return paceFirstToken
	}
	if e := call.Request.Endpoint; e != chat.Completions && e != chat.TextCompletions && e != chat.Responses {
		return paceTotal
	}
	for _, d := range from {
		if d.pace.total.value() > 0 && d.pace.perToken.value() == 0 {
			return paceTotal
		}
	}
	return pacePerToken
}

// pace is how fast a deployment has answered lately, in seconds.
type pace struct{ firstToken, perToken, total average }

func (p *pace) of(kind paceKind) float64 {
	switch kind {
	case paceFirstToken:
		return p.firstToken.value()
	case pacePerToken:
		return p.perToken.value()
	}
	return p.total.value()
}

// answered takes in a whole answer that was not streamed.
func (p *pace) answered(now time.Time, took time.Duration, tokens int64) {
	p.total.add(took.Seconds(), now)
	if tokens > 0 {
		p.perToken.add(took.Seconds()/float64(tokens), now)
	}
}

// What a failure counts as: slow, whatever it took. A deployment that fails
// fast must not look fast.
const (
	penalty         = 10.0 // seconds
	penaltyPerToken = 1.0
)

// failed takes in a failure.
func (p *pace) failed(now time.Time, took time.Duration) {
	slow := max(penalty, took.Seconds())
	p.firstToken.add(slow, now)
	p.total.add(slow, now)
	p.perToken.add(penaltyPerToken, now)
}

// average is an exponentially weighted mean. A sample weighs at least leastWeight, and
// more the longer ago the last one was, so that what was measured long ago is
// forgotten at the first new sample. 0 is unmeasured. It is safe for concurrent
// use.
type average struct {
	bits atomic.Uint64
	at   atomic.Int64 // of the last sample, in Unix nanoseconds
}

const (
	leastWeight = 0.2
	memory      = 10 * time.Second // a sample after this long weighs 1-1/e
)

func (a *average) value() float64 { return math.Float64frombits(a.bits.Load()) }

func (a *average) add(sample float64, now time.Time) {
	sample = max(sample, 1e-9) // 0 would be unmeasured
	gap := now.UnixNano() - a.at.Swap(now.UnixNano())
	weight := max(leastWeight, 1-math.Exp(-float64(gap)/float64(memory)))
	for {
		old := a.bits.Load()
		mean := sample
		if old != 0 {
			before := math.Float64frombits(old)
			mean = before + weight*(sample-before)
		}
		if a.bits.CompareAndSwap(old, math.Float64bits(mean)) {
			return
		}
	}
}
