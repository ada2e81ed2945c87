package extproc

import (
	"context"
	"errors"
	"io"
	"math"
	"sync"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"
)

// Envoy balances its streams over the replicas of this service, so the retry and
// failure filters of a request may reach another replica than the one that has
// its exchange. The exchange's metadata names its replica; the stream is handed
// on to it, message by message. Only attempts after a failure pay for that.

// relayedKey marks a stream that another replica handed on: it goes no further.
const relayedKey = "x-isthmus-relayed"

// peers are the connections to other replicas, made when first needed and kept.
// gRPC closes what is idle for long. Safe for concurrent use.
type peers struct {
	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// conn returns the connection to the replica at an address.
func (p *peers) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn, ok := p.conns[address]
	if !ok {
		var err error
		// The hop is as trusted as the one from Envoy, and secured like it: by
		// the mesh.
		conn, err = grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32), grpc.MaxCallSendMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, err
		}
		if p.conns == nil {
			p.conns = map[string]*grpc.ClientConn{}
		}
		p.conns[address] = conn
	}
	return conn, nil
}

// close ends all connections.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	p.conns = nil
}

// owner returns the address of the replica that a message's exchange belongs to,
// or "": it is ours, or nobody's.
func (s *Server) owner(ctx context.Context, name string, m *extprocv3.ProcessingRequest) string {
	if name == filterRequest || s.exchanges.find(exchangeID(m)) != nil {
		return ""
	}
	if said(ctx, relayedKey) != "" {
		return ""
	}
	replica := metadataOf(m, "replica")
	if replica == s.replica {
		return ""
	}
	return replica
}

// errNoRelay says that the owner could not be asked: nothing was answered yet,
// and the stream may still be served as one of an unknown exchange.
var errNoRelay = errors.New("the replica that owns the exchange cannot be reached")

// relay serves a stream by the replica that owns its exchange. message is the
// stream's first.
func (s *Server) relay(stream extprocv3.ExternalProcessor_ProcessServer, name, address string, message *extprocv3.ProcessingRequest) error {
	conn, err := s.peers.conn(address)
	if err != nil {
		return errNoRelay
	}
	client := extprocv3.NewExternalProcessorClient(conn)
	ctx, cancel := context.WithCancel(grpcmetadata.NewOutgoingContext(stream.Context(), grpcmetadata.Pairs(filterKey, name, relayedKey, "1")))
	defer cancel()
	remote, err := client.Process(ctx)
	if err != nil || remote.Send(message) != nil {
		return errNoRelay
	}
	answer, err := remote.Recv()
	if err != nil {
		return errNoRelay
	}
	for {
		if err := stream.Send(answer); err != nil {
			return err
		}
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
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
