package extproc

import (
	"sync"
	"sync/atomic"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// outlet sends the messages of one stream. A deadline sends beside the stream's
// own goroutine, so sending takes a lock; after close nothing is sent.
type outlet struct {
	mu       sync.Mutex
	stream   extprocv3.ExternalProcessor_ProcessServer
	closed   bool
	answered atomic.Bool     // an immediate response was sent: nothing follows it
	shared   upstream.Header // for the pages of another origin; see crossOrigin
}

func (o *outlet) send(m *reply) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.answered.Load() {
		return nil
	}
	if m.GetImmediateResponse() != nil {
		o.answered.Store(true)
	}
	if o.shared != nil {
		m.shareWith(o.shared)
	}
	if len(m.tail) == 0 {
		return o.stream.Send(m.ProcessingResponse)
	}
	return o.stream.SendMsg(m)
}

func (o *outlet) share(header upstream.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shared = header
}

func (o *outlet) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}

// limit bounds the time of a streaming request to its response headers. Envoy's
// own timer for a request (x-envoy-upstream-rq-timeout-ms) would cut a running
// answer, so it serves only the requests that do not stream.
func (s *requestStream) limit(plan *routing.Plan) {
	if plan.Deadline.IsZero() || !s.exchange.request.Stream || s.out == nil {
		return
	}
	s.timer = s.server.guard.AfterFunc(time.Until(plan.Deadline), "a request's deadline", s.expire)
}

// expire ends a request whose time is up with an error, unless its answer has
// begun. Envoy takes such an answer at any moment.
func (s *requestStream) expire() {
	x := s.exchange
	e, attempts := x.timeUp()
	if e == nil {
		return
	}
	x.attempts.failed(attempts, 0, totalTimeout, time.Now())
	header := errorHeaders(e)
	for _, f := range x.publicHeaders(0, nil) {
		header.Set(f.Name, f.Value)
	}
	answer := immediate(e.Status, header, e.JSON(), "isthmus_deadline")
	answer.DynamicMetadata = x.metadata().proto()
	_ = s.out.send(answer) // when the stream is gone, so is the request
}

// timeUp notes that the request's time is up. It returns the error that the client
// gets and how many attempts were made; nil when the answer has begun.
func (x *exchange) timeUp() (e *upstream.Error, attempts int) {
	if e = x.attempts.remembered(); e == nil {
		e = localFailure(0, totalTimeout)
	}
	attempts = x.attempts.count()
	if _, runs := x.attempts.hop(1); !runs {
		return nil, 0
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.outcome.status != 0 {
		return nil, 0
	}
	x.refusedLocked(e)
	return e, attempts
}
