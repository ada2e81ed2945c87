package wire

import (
	"sync"
	"sync/atomic"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Sender sends the answers of one stream. A deadline or a message timeout sends
// beside the stream's own goroutine, so it is safe for concurrent use.
type Sender struct {
	mu       sync.Mutex
	stream   extprocv3.ExternalProcessor_ProcessServer
	closed   bool
	answered atomic.Bool
	broken   atomic.Bool
	shared   upstream.Header
}

// NewSender returns the sender of a stream.
func NewSender(stream extprocv3.ExternalProcessor_ProcessServer) *Sender {
	return &Sender{stream: stream}
}

// Send sends an answer. After an immediate response, or Close, it does nothing. The
// error is gRPC's: the stream is gone. A panic leaves the Sender as it was, so that
// another answer may be sent, and is told by Broken.
func (s *Sender) Send(a *Answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.answered.Load() || a.message == nil && a.piece == nil {
		return nil
	}
	returned := false
	defer func() {
		switch {
		case !returned:
			s.answered.Store(false)
			s.broken.Store(true)
		case a.IsImmediate():
			s.broken.Store(false) // it says all that was left to say
		}
	}()
	s.answered.Store(a.IsImmediate()) // before Envoy may have it
	err := s.send(a)
	returned = true
	return err
}

func (s *Sender) send(a *Answer) error {
	if s.shared != nil {
		a.addHeaders(s.shared)
	}
	if len(a.tail) > 0 || a.piece != nil {
		return s.stream.SendMsg(a)
	}
	return s.stream.Send(a.message)
}

// Answered reports whether an immediate response was sent: nothing follows it.
func (s *Sender) Answered() bool { return s.answered.Load() }

// Broken reports whether a Send panicked and no immediate response was sent since: what
// it had to say was not said, whatever was sent by others in the meantime.
func (s *Sender) Broken() bool { return s.broken.Load() }

// AddToResponses has headers added to everything that goes to the client from now
// on: immediate responses and the headers of answers. It tells a browser which page
// may read them.
func (s *Sender) AddToResponses(header upstream.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shared = header
}

// Close ends the sending. It is idempotent.
func (s *Sender) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
