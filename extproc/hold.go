package extproc

import (
	"context"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// holdAfter is how long a message is worked on before Envoy is asked for more
// time; its own limit for a message is at least 10 s.
const holdAfter = 3 * time.Second

// hold lets the answer to the request's body take as long as a request may be
// held: the context ends then, and when the client leaves. Envoy grants one
// extension per message, so it is asked for the whole time, once, and only when
// the wait turns out long. stop must be called before the answer is sent.
func (s *requestStream) hold() (ctx context.Context, stop func()) {
	limit, began := s.exchange.snapshot.maxHold, time.Now()
	ctx, cancel := context.WithDeadline(s.ctx, s.exchange.started.Add(limit))
	timer := s.server.guard.AfterFunc(holdAfter, "a request that waits", func() {
		s.extend.Do(func() {
			_ = s.out.Send(wire.MoreTime(limit)) // when the stream is gone, so is the request
		})
	})
	return ctx, func() {
		s.exchange.own.Add(-int64(time.Since(began))) // waiting is no work of ours
		timer.Stop()
		cancel()
	}
}
