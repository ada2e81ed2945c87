package extproc

import (
	"context"
	"errors"
	"io"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// Envoy balances its streams over the replicas of this service, so the retry and
// failure filters of a request may reach another replica than the one that has
// its exchange. The exchange's metadata names its replica; the stream is handed
// on to it, message by message. Only attempts after a failure pay for that.

// relayedKey marks a stream that another replica handed on: it goes no further.
const relayedKey = "x-isthmus-relayed"

// findTime bounds the search for a replica that is not known yet, and relayTime the
// wait for its first answer: Envoy waits for 10 s.
const (
	findTime  = 2 * time.Second
	relayTime = 5 * time.Second
)

// owner returns the address of the replica that a message's exchange belongs to,
// or "": it is ours, or that of nobody who is known.
func (s *Server) owner(ctx context.Context, name string, m wire.Message) string {
	if name == names.FilterRequest || s.exchanges.find(m.ExchangeField(names.FieldID)) != nil {
		return ""
	}
	if metadataValue(ctx, relayedKey) != "" {
		return ""
	}
	replica := m.ExchangeField(names.FieldReplica)
	if replica == s.replica {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	if !s.peers.Find(ctx, replica) {
		return ""
	}
	return replica
}

// errNoRelay says that the owner could not be asked: nothing was answered yet,
// and the stream may still be served as one of an unknown exchange.
var errNoRelay = errors.New("the replica that owns the exchange cannot be reached")

// relay serves a stream by the replica that owns its exchange. message is the
// stream's first, which order has taken.
func (s *Server) relay(
	stream extprocv3.ExternalProcessor_ProcessServer, order *wire.Order, address string, message *extprocv3.ProcessingRequest,
) error {
	conn, done, err := s.peers.Conn(address)
	if err != nil {
		return errNoRelay
	}
	defer done()
	said := grpcmetadata.Pairs(names.KeyFilter, order.Filter, relayedKey, "1")
	ctx, cancel := context.WithCancel(grpcmetadata.NewOutgoingContext(stream.Context(), said))
	defer cancel()
	late := s.guard.AfterFunc(relayTime, "a relayed stream", cancel)
	defer late.Stop()
	remote, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil || remote.Send(message) != nil {
		return errNoRelay
	}
	answer, err := remote.Recv()
	if err != nil || !late.Stop() {
		return errNoRelay
	}
	for {
		if err := stream.Send(answer); err != nil {
			return err
		}
		order.Answered = answer.GetImmediateResponse() != nil
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := order.Next(wire.MessageOf(message)); err != nil {
			s.filters[order.Filter].Broke()
			return err
		}
		if err := remote.Send(message); err != nil {
			return err
		}
		if answer, err = remote.Recv(); err != nil {
			return err
		}
	}
}
