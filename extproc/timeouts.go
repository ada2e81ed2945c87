package extproc

import (
	"cmp"
	"context"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// What bounds a request's time here; all other timers are Envoy's (decision 007).

// extendAfter is how long a message is worked on before Envoy is asked for more
// time; its own limit for a message is at least 10 s.
const extendAfter = 3 * time.Second

// extendMessageTimeout lets the answer to the request's body take as long as a
// request may be held: the context ends then, and when the client leaves. Envoy
// grants one extension per message, so it is asked for the whole time, once, and
// only when the wait turns out long. stop must be called before the answer is sent.
func (s *requestStream) extendMessageTimeout() (ctx context.Context, stop func()) {
	limit, began := s.exchange.snapshot.maxHold, time.Now()
	ctx, cancel := context.WithDeadline(s.ctx, s.exchange.started.Add(limit))
	timer := s.server.guard.AfterFunc(extendAfter, "a request that waits", func() {
		s.extend.Do(func() {
			_ = s.out.Send(wire.MoreTime(limit)) // when the stream is gone, so is the request
		})
	})
	return ctx, func() {
		s.exchange.overhead.Add(-int64(time.Since(began))) // waiting is no work of ours
		timer.Stop()
		cancel()
	}
}

// startDeadline bounds the time of a streaming request to its response headers.
// Envoy's own timer for a request (x-envoy-upstream-rq-timeout-ms) would cut a
// running answer, so it serves only the requests that do not stream.
func (s *requestStream) startDeadline(plan *routing.Plan) {
	if plan.Deadline.IsZero() || !s.exchange.request.Stream || s.out == nil {
		return
	}
	s.timer = s.server.guard.AfterFunc(time.Until(plan.Deadline), "a request's deadline", s.expire)
}

// expire ends a request whose time is up with an error, unless its answer has
// begun. Envoy takes such an answer at any moment. Whoever has claimed the answer must
// give it: should a panic keep the whole of it from being made or sent, the client gets
// the bare error.
func (s *requestStream) expire() {
	x, guard := s.exchange, s.server.guard
	e := cmp.Or(x.attempts.remembered(), localFailure(0, totalTimeout))
	bare := wire.Immediate(e.Status, nil, e.JSON(), "isthmus_deadline")
	attempts := x.attempts.count()
	if !x.outcome.refused(byDeadline, e) {
		return
	}
	guard.Run("the attempt at a request's deadline", func() { x.attempts.failed(attempts, 0, totalTimeout, time.Now()) })
	if guard.Run("a request's deadline", func() { _ = s.out.Send(s.deadlineAnswer(e)) }) { // when the stream is gone, so is the request
		return
	}
	_ = s.out.Send(bare) // if that panics too, the stream ends with its next message: Server.serve
}

// deadlineAnswer is the error of a request whose time is up.
func (s *requestStream) deadlineAnswer(e *upstream.Error) *wire.Answer {
	x := s.exchange
	header := errorHeaders(e)
	for _, f := range x.publicHeaders(0, nil) {
		header.Set(f.Name, f.Value)
	}
	return wire.Immediate(e.Status, header, e.JSON(), "isthmus_deadline").WithMetadata(x.metadata())
}
