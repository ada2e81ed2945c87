package extproc

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// Server is the ext_proc service, and the one that Envoy's access log goes to. It is
// safe for concurrent use; all of its state is in the exchanges and the Snapshot.
type Server struct {
	extprocv3.UnimplementedExternalProcessorServer
	accesslogv3.UnimplementedAccessLogServiceServer

	runtime   *Runtime
	exchanges registry
	unsettled unsettled
	replica   string    // where other replicas reach this one; "" when there are none
	peers     *peer.Set // the other replicas
	entries   *entryRelay
	guard     *guard.Guard
	filters   map[string]*metrics.Filter // what is counted of each filter's streams
	log       *slog.Logger

	logsClosed chan struct{} // closed by closeLogs: the streams of the access log are to end
	closeLogs  func()        // idempotent
}

// NewServer returns the service over the current configuration in runtime.
// replica is the address (host:port) at which other replicas of the service
// reach this one, or "" when Envoy knows only this one; peers are those, or nil.
// Close must be called.
func NewServer(runtime *Runtime, replica string, peers *peer.Set, log *slog.Logger) *Server {
	s := &Server{
		runtime: runtime, replica: replica, peers: peers, log: log, guard: runtime.guard, filters: map[string]*metrics.Filter{},
		unsettled: unsettled{guard: runtime.guard}, entries: newEntryRelay(peers, runtime.metrics, runtime.guard),
	}
	s.logsClosed = make(chan struct{})
	s.closeLogs = sync.OnceFunc(func() { close(s.logsClosed) })
	for _, name := range []string{names.FilterRequest, names.FilterRetry, names.FilterFailure, names.FilterOpening} {
		s.filters[name] = runtime.metrics.Filter(name)
	}
	return s
}

// Close ends what is under way to other replicas.
func (s *Server) Close() { s.entries.close() }

// Register adds the service, and gRPC's health service, to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	extprocv3.RegisterExternalProcessorServer(g, s)
	accesslogv3.RegisterAccessLogServiceServer(g, s)
	g.RegisterService(s.runtime.health(), nil)
}

// processor answers the messages of one stream, one at a time.
type processor interface {
	// handle returns the answer to a message, or nil when it gets none.
	handle(wire.Message) *wire.Answer
	// close is called once, when the stream has ended for whatever reason.
	close()
	// of is the exchange that the last message belonged to, or nil.
	of() *exchange
}

// Process serves one stream of one filter. A panic ends that stream with an
// error, which Envoy turns into a 503 for its request, and nothing else: what the
// request held is given back all the same.
func (s *Server) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	out := wire.NewSender(stream)
	p, name, err := s.processor(stream.Context(), out)
	if err != nil {
		s.runtime.metrics.RefusedStream(metrics.RefusedFilter)
		return err
	}
	if err := s.runtime.leave(stream); err != nil {
		return err
	}
	s.filters[name].Opened()
	defer s.guard.Run("the end of a stream", p.close)
	defer out.Close()
	if p, ok := p.(expiringProcessor); ok {
		return s.unless(p.ended(), "a stream with a time", func() error { return s.serve(stream, p, name, out) })
	}
	return s.serve(stream, p, name, out)
}

// expiringProcessor is one whose stream may have to end though no message comes.
type expiringProcessor interface {
	processor
	ended() <-chan struct{} // closed when the stream is to end, with OK
}

// unless serves a stream in a goroutine of its own, and returns when serve does, or with nil
// as soon as over is closed: when its handler has returned, gRPC ends serve's wait for a
// message.
func (s *Server) unless(over <-chan struct{}, where string, serve func() error) error {
	served := make(chan error, 1)
	s.guard.Go(where, func() { served <- s.guard.Call(where, serve) })
	select {
	case err := <-served:
		return err
	case <-over:
		return nil
	}
}

// serve answers the messages of a stream until it ends.
func (s *Server) serve(stream extprocv3.ExternalProcessor_ProcessServer, p processor, name string, out *wire.Sender) (err error) {
	counted, order := s.filters[name], wire.Order{Filter: name}
	defer func() {
		if cause := recover(); cause != nil {
			counted.Panicked()
			s.log.Error("panic while serving a request", "filter", name, "cause", guard.Text(cause), "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "internal error")
		}
	}()
	for first := true; ; first = false {
		raw, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err // Envoy reset the stream: its request is over
		}
		message := wire.MessageOf(raw)
		if out.Broken() {
			return status.Error(codes.Internal, "internal error") // the answer beside this stream could not be sent
		}
		if out.Answered() && !order.Answered {
			return nil // sent before Envoy had the answer that it did not ask for
		}
		if err := order.Next(message); err != nil {
			counted.Broke()
			s.log.Debug("a stream breaks the protocol", "filter", name, "error", err)
			return err
		}
		var owner string
		if first {
			owner = s.owner(stream.Context(), name, message)
		}
		if owner != "" {
			relay := s.relay
			if name == names.FilterOpening {
				relay = s.relayOpening
			}
			if err := relay(stream, &order, owner, raw); !errors.Is(err, errNoRelay) {
				counted.Relayed()
				return err
			}
		}
		answer := timed(p, message, counted)
		if answer == nil {
			continue
		}
		order.Answered = answer.IsImmediate()
		if err := out.Send(answer); err != nil || answer.IsLast() {
			return err
		}
	}
}

// timed answers a message and notes how long that took: for the filter, and for
// the request as time of our own.
func timed(p processor, m wire.Message, counted *metrics.Filter) *wire.Answer {
	began := time.Now()
	answer := p.handle(m)
	took := time.Since(began)
	counted.Message(m.Phase(), took)
	if x := p.of(); x != nil {
		x.overhead.Add(int64(took))
		x.steps.flush()
	}
	return answer
}

func (s *Server) processor(ctx context.Context, out *wire.Sender) (processor, string, error) {
	name := ""
	for i, v := range grpcmetadata.ValueFromIncomingContext(ctx, names.KeyFilter) {
		if i > 0 && v != name {
			return nil, "", status.Errorf(codes.InvalidArgument, "%s names several filters", names.KeyFilter)
		}
		name = v
	}
	switch name {
	case names.FilterRequest:
		return &requestStream{
			server: s, ctx: ctx, out: out, encoding: planEncodingOf(metadataValue(ctx, names.KeyPlan)), log: metadataValue(ctx, names.KeyLog),
			bounded: metadataValue(ctx, names.KeyTimeouts) == names.TimeoutsOfClusters,
			opens:   metadataValue(ctx, names.KeyOpening) == names.OpeningByRequest,
		}, name, nil
	case names.FilterRetry:
		return &retryStream{server: s}, name, nil
	case names.FilterFailure:
		return &failureStream{server: s, relayed: metadataValue(ctx, relayedKey) != "", judgement: newJudgement()}, name, nil
	case names.FilterOpening:
		return newOpeningStream(s, out), name, nil
	}
	return nil, "", status.Errorf(codes.InvalidArgument,
		"the ext_proc filter must send %s: request, retry, failure or opening in its initial_metadata; "+
			"generate the configuration with `isthmus envoy`", names.KeyFilter)
}

// metadataValue is the first value of a key of a stream's gRPC metadata; "": it is
// not there.
func metadataValue(ctx context.Context, key string) string {
	if v := grpcmetadata.ValueFromIncomingContext(ctx, key); len(v) > 0 {
		return v[0]
	}
	return ""
}
