package extproc

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing/guard"
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
// or "": it is ours, or that of no replica that is known.
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
	md := grpcmetadata.Pairs(names.KeyFilter, order.Filter, relayedKey, "1")
	ctx, cancel := context.WithCancel(grpcmetadata.NewOutgoingContext(stream.Context(), md))
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

// entryRelay hands entries of Envoy's access log on to the replicas that have their
// requests, beside the stream that brings them: a replica that does not answer
// holds up no other. Each replica has a queue, and a goroutine while there
// is something in it. It is safe for concurrent use.
type entryRelay struct {
	peers   *peer.Set
	metrics *metrics.Metrics
	guard   *guard.Guard
	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	sending sync.WaitGroup

	mu      sync.Mutex
	queues  map[string][]*datav3.HTTPAccessLogEntry // of the replicas that have a goroutine
	waiting int                                     // entries in all of them
	closed  bool
}

const (
	// relayEntryTimeout bounds handing entries on. Late is as good as never: their
	// requests are settled without them after entryWait.
	relayEntryTimeout = time.Second
	// maxEntries is how many entries may wait for one replica, and maxAllEntries for all.
	maxEntries    = 1024
	maxAllEntries = 8 * maxEntries
)

func newEntryRelay(peers *peer.Set, m *metrics.Metrics, g *guard.Guard) *entryRelay {
	ctx, cancel := context.WithCancel(context.Background())
	return &entryRelay{peers: peers, metrics: m, guard: g, ctx: ctx, cancel: cancel, queues: map[string][]*datav3.HTTPAccessLogEntry{}}
}

// close gives up what is under way.
func (r *entryRelay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.sending.Wait()
}

// add hands an entry over. It does not wait; what has no room, or is for a replica
// that is not known, is dropped.
func (r *entryRelay) add(replica string, e *datav3.HTTPAccessLogEntry) {
	if !r.peers.Knows(replica) || !r.queue(replica, e) {
		r.metrics.RelayedEntries(false, 1)
	}
}

func (r *entryRelay) queue(replica string, e *datav3.HTTPAccessLogEntry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, running := r.queues[replica]
	if r.closed || len(entries) >= maxEntries || r.waiting >= maxAllEntries {
		return false
	}
	r.queues[replica] = append(entries, e)
	r.waiting++
	if !running {
		r.sending.Add(1)
		r.guard.Go("the relay of the access log", func() {
			defer r.sending.Done()
			r.send(replica)
		})
	}
	return true
}

// send sends what waits for a replica until nothing does.
func (r *entryRelay) send(replica string) {
	for batch := r.take(replica); len(batch) > 0; batch = r.take(replica) {
		err := r.guard.Call("the relay of the access log", func() error { return r.sendBatch(replica, batch) })
		r.metrics.RelayedEntries(err == nil, len(batch))
	}
}

// take empties a replica's queue; when it is empty, its goroutine ends.
func (r *entryRelay) take(replica string) []*datav3.HTTPAccessLogEntry {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch := r.queues[replica]
	r.waiting -= len(batch)
	if len(batch) == 0 || r.closed {
		delete(r.queues, replica)
		return nil
	}
	r.queues[replica] = nil
	return batch
}

func (r *entryRelay) sendBatch(replica string, batch []*datav3.HTTPAccessLogEntry) error {
	conn, done, err := r.peers.Conn(replica)
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(grpcmetadata.AppendToOutgoingContext(r.ctx, relayedKey, "1"), relayEntryTimeout)
	defer cancel()
	stream, err := accesslogv3.NewAccessLogServiceClient(conn).StreamAccessLogs(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&accesslogv3.StreamAccessLogsMessage{LogEntries: &accesslogv3.StreamAccessLogsMessage_HttpLogs{
		HttpLogs: &accesslogv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: batch},
	}})
	if err != nil {
		return err
	}
	_, err = stream.CloseAndRecv()
	return err
}
