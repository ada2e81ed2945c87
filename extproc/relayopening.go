package extproc

import (
	"context"
	"errors"
	"io"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// relayOpening is relay for an opening filter's stream, of whose messages only the
// first has an answer for certain. It ends when the owner of the exchange ends its
// stream, with OK however that was: what the owner has not made a failure of passes.
// Envoy's timers bound the wait.
func (s *Server) relayOpening(
	stream extprocv3.ExternalProcessor_ProcessServer, order *wire.Order, address string, message *extprocv3.ProcessingRequest,
) error {
	conn, done, err := s.peers.Conn(address)
	if err != nil {
		return errNoRelay
	}
	defer done()
	ctx, cancel := context.WithCancel(grpcmetadata.NewOutgoingContext(stream.Context(),
		grpcmetadata.Pairs(names.KeyFilter, order.Filter, relayedKey, "1")))
	defer cancel()
	late := s.guard.AfterFunc(relayTime, "the relay of a stream's opening", cancel)
	defer late.Stop()
	remote, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil || remote.Send(message) != nil {
		return errNoRelay
	}
	answer, err := remote.Recv() // the attempt waits for it
	if err != nil || !late.Stop() {
		return errNoRelay
	}
	s.guard.Go("the relay of a stream's opening", func() {
		defer cancel()
		s.forwardOpening(ctx, stream, remote, order)
	})
	for ; err == nil; answer, err = remote.Recv() {
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return stream.Context().Err()
}

// forwardOpening hands Envoy's messages on until it has ended its stream. When the owner
// has ended its own, it waits for ctx: the owner's last answer is still to be read.
func (s *Server) forwardOpening(
	ctx context.Context, stream extprocv3.ExternalProcessor_ProcessServer, remote extprocv3.ExternalProcessor_ProcessClient, order *wire.Order,
) {
	for {
		message, err := stream.Recv()
		if err != nil {
			return // Envoy has ended its stream
		}
		if err := order.Next(wire.MessageOf(message)); err != nil {
			s.filters[order.Filter].Broke()
			return
		}
		if remote.Send(message) != nil {
			<-ctx.Done()
			return
		}
	}
}
