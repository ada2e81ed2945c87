package cli

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// Pauses before an Envoy that has ended is started again: each is twice as long as
// the one before, until an Envoy has served for a while.
const (
	firstRestartPause   = 100 * time.Millisecond
	longestRestartPause = 30 * time.Second
	servedForAWhile     = time.Minute
)

// restartPause is the growing pause of a supervisor.
type restartPause struct {
	next   time.Duration  // 0: the first
	jitter func() float64 // in [0, 1)
}

// after returns the pause before the next start, of an Envoy that served this
// long: between half and all of the grown pause, at random, so that gateways that
// died together do not start together.
func (p *restartPause) after(served time.Duration) time.Duration {
	if p.next == 0 || served >= servedForAWhile {
		p.next = firstRestartPause
	}
	pause := p.next
	p.next = min(2*pause, longestRestartPause)
	return pause/2 + time.Duration(p.jitter()*float64(pause/2))
}

// supervise keeps Envoy running until ctx ends, then drains. An Envoy that has served
// once is started again however often it ends: only a failure of the service, or a
// signal, ends the command.
func (r *runner) supervise(ctx context.Context, s *service, p *process.Process) error {
	pauses := &restartPause{jitter: rand.Float64}
	for {
		began := time.Now()
		select {
		case <-ctx.Done():
			return r.drain(ctx, s, p)
		case err := <-s.failed:
			stopEnvoy(ctx, p, envoyTime)
			return err
		case <-p.Done():
		}
		s.runtime.EnvoyDown()
		next, err := r.restart(ctx, s, pauses, envoyExit{served: time.Since(began), cause: p.Err()})
		if next == nil {
			return err
		}
		s.runtime.EnvoyUp()
		p = next
	}
}

// envoyExit is the end of an Envoy, or a start that failed.
type envoyExit struct {
	served time.Duration // 0: it did not start
	cause  error
}

// restart tries to start Envoy until it succeeds. It returns nil when the command is
// to end, and then the command's error.
func (r *runner) restart(ctx context.Context, s *service, pauses *restartPause, last envoyExit) (*process.Process, error) {
	for {
		pause := pauses.after(last.served)
		r.log.Error("starting Envoy again", "in_ms", pause.Milliseconds(), "after", last.cause)
		select {
		case <-ctx.Done():
			return nil, r.drain(ctx, s, nil)
		case err := <-s.failed:
			return nil, err
		case <-time.After(pause):
		}
		p, err := r.start(ctx)
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil:
			return nil, r.drain(ctx, s, nil)
		}
		s.runtime.EnvoyDown()
		last = envoyExit{cause: err}
	}
}

// drain ends the gateway: it says that it does not serve, admits new requests for the
// grace, refuses them, waits for the open ones and ends Envoy; a nil p means that no
// Envoy runs.
func (r *runner) drain(ctx context.Context, s *service, p *process.Process) error {
	open, cancel := r.flags.drain.begin(ctx, s, r.log)
	defer cancel()
	if p == nil {
		s.runtime.Refuse()
		s.awaitIdle(open)
		return nil
	}
	if err := p.Leave(open); err != nil {
		r.log.Warn("clients are not told to leave while draining", "error", err)
	}
	wait(open, r.flags.drain.grace, p.Done())
	s.runtime.Refuse()
	if err := p.Refuse(open); err != nil {
		r.log.Warn("Envoy goes on listening while draining", "error", err)
	}
	s.awaitIdle(open)
	stopEnvoy(ctx, p, envoyTime)
	return nil
}
