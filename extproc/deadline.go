package extproc

import (
	"cmp"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
)

// startDeadline bounds the time of a streaming request to its response headers. Envoy's
// own timer for a request (x-envoy-upstream-rq-timeout-ms) would cut a running
// answer, so it serves only the requests that do not stream.
func (s *requestStream) startDeadline(plan *routing.Plan) {
	if plan.Deadline.IsZero() || !s.exchange.request.Stream || s.out == nil {
		return
	}
	s.timer = s.server.guard.AfterFunc(time.Until(plan.Deadline), "a request's deadline", s.expire)
}

// expire ends a request whose time is up with an error, unless its answer has
// begun. Envoy takes such an answer at any moment.
func (s *requestStream) expire() {
	x := s.exchange
	e := cmp.Or(x.attempts.remembered(), localFailure(0, totalTimeout))
	attempts := x.attempts.count()
	if !x.outcome.refused(byDeadline, e) {
		return
	}
	x.attempts.failed(attempts, 0, totalTimeout, time.Now())
	header := errorHeaders(e)
	for _, f := range x.publicHeaders(0, nil) {
		header.Set(f.Name, f.Value)
	}
	answer := wire.Immediate(e.Status, header, e.JSON(), "isthmus_deadline")
	answer.WithMetadata(x.metadata())
	_ = s.out.Send(answer) // when the stream is gone, so is the request
}
