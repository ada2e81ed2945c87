package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"
)

// How a service ends without losing a request (decision 005): it says that it does not
// serve, admits what still comes for a while, and waits for what runs.

// drainFlags are the times of a command's end.
type drainFlags struct {
	grace   time.Duration // new requests are admitted for so long after the signal
	timeout time.Duration // open requests may run for so long after the signal; the grace included
}

const (
	defaultDrainTimeout = 30 * time.Second
	// serveGrace is serve's default: more than the health check that `isthmus envoy`
	// writes takes to find out, and most load balancers.
	serveGrace = 5 * time.Second
)

// add adds the flags; grace is the default of the first.
func (f *drainFlags) add(flags *flag.FlagSet, grace time.Duration) {
	flags.DurationVar(&f.grace, "drain-grace", grace,
		"`TIME` after a signal in which new requests are admitted, while readiness and gRPC health say not to send any")
	flags.DurationVar(&f.timeout, "drain-timeout", defaultDrainTimeout,
		"`TIME` after a signal in which open requests may finish; --drain-grace is part of it")
}

func (f *drainFlags) check() error {
	switch {
	case f.grace < 0 || f.timeout < 0:
		return errors.New("--drain-grace and --drain-timeout: want a time as 5s, 0s or more")
	case f.grace > f.timeout:
		return fmt.Errorf("--drain-grace %s is part of --drain-timeout %s: it cannot be longer", f.grace, f.timeout)
	}
	return nil
}

// begin is the first step of the end, for a command whose ctx has ended: the service
// says that it does not serve, and admits new requests all the same. open is the time
// in which those that run may finish.
func (f *drainFlags) begin(ctx context.Context, s *service, log *slog.Logger) (open context.Context, cancel context.CancelFunc) {
	s.runtime.Drain()
	log.Info("draining", "open", s.runtime.Open(), "admits_ms", f.grace.Milliseconds(),
		"ends_within_ms", f.timeout.Milliseconds())
	return context.WithTimeout(context.WithoutCancel(ctx), f.timeout)
}

// wait returns after d, when ctx ends, or when over is closed; a nil over never is.
func wait(ctx context.Context, d time.Duration, over <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-over:
	}
}

// goAwayTime is how long Envoys may take to hear that they should go elsewhere. Each
// sends no request by a connection of before from then on.
const goAwayTime = time.Second

// leave is the second step of the end of a service behind an Envoy of somebody else:
// every connection is told to go away. What comes by one until its client has heard of
// it is served, and what runs there runs on. Connections that are opened afterwards get
// the streams of requests that run, wherever they began, but no new requests: Envoy asks
// another replica for these. It returns when all have heard of it, or ctx has ended.
func (s *service) leave(ctx context.Context) {
	s.former, s.grpc = s.grpc, s.newServer(true)
	s.serveGRPC(s.grpc)
	wait(ctx, goAwayTime, s.goAway(s.former))
}

// goAway tells the clients of a gRPC server to open their next streams elsewhere. The
// channel is closed when those that run there have ended.
func (s *service) goAway(server *grpc.Server) <-chan struct{} {
	ended := make(chan struct{})
	s.runtime.Guard().Go("the end of a server's connections", func() {
		defer close(ended)
		server.GracefulStop()
	})
	return ended
}

// finish is the last step of that end, when no request of this replica runs: attempts of
// other replicas' requests have their streams here too. Every connection is told to go
// away and none is accepted any more, so that Envoy and the other replicas open the next
// stream elsewhere. It returns when those that run have ended, or ctx has.
func (s *service) finish(ctx context.Context) {
	s.port.close()
	s.processor.CloseAccessLogs() // these streams end by nothing else
	for _, ended := range []<-chan struct{}{s.goAway(s.former), s.goAway(s.grpc)} {
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}
}

// drainPoll is how often open requests are counted while draining.
const drainPoll = 20 * time.Millisecond

// awaitIdle waits until no request is open, or ctx ends.
func (s *service) awaitIdle(ctx context.Context) {
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for s.runtime.Open() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
