package peer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

const (
	pollEvery   = time.Second
	pollSoonest = 200 * time.Millisecond // between two, when somebody asks
	pollTimeout = 2 * time.Second
	knownFor    = 5 * time.Minute // since the source's last answer
	idleTime    = 5 * time.Minute // of a connection
	maxReplicas = 512             // that one source may name
	maxAddress  = 261             // bytes: a host name and a port
)

// ErrUnknown means that an address is not that of a known replica.
var ErrUnknown = errors.New("no replica that is known has this address")

// ErrAway is returned by a source that is not available and has logged that itself.
var ErrAway = errors.New("away")

// Conn is a connection to a replica.
type Conn interface {
	grpc.ClientConnInterface
	Close() error
}

// Options are what a Set needs.
type Options struct {
	Dial  func(address string) (Conn, error) // required; does not wait
	Log   *slog.Logger                       // required
	Guard *guard.Guard
}

// Set is the replicas that are known. It is safe for concurrent use; a nil Set knows
// none.
type Set struct {
	options Options

	mu      sync.Mutex
	sources []*source
	conns   map[string]*shared
	closed  bool
}

// shared is a connection and those who use it.
type shared struct {
	conn  Conn
	users int
	idle  *time.Timer // closes it; nil while it has users
}

// NewSet returns an empty Set. Close must be called.
func NewSet(o Options) *Set { return &Set{options: o, conns: map[string]*shared{}} }

// Close ends all connections. Sources are stopped by the functions that Follow
// returned.
func (s *Set) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for address := range s.conns {
		s.dropLocked(address)
	}
}

// Knows reports whether an address is that of a replica by the sources' last answers.
// It does not block.
func (s *Set) Knows(address string) bool {
	if s == nil || address == "" || len(address) > maxAddress {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.knowsLocked(address)
}

func (s *Set) knowsLocked(address string) bool {
	now := time.Now()
	return slices.ContainsFunc(s.sources, func(from *source) bool { return from.names(address, now) })
}

// Find is Knows, but asks the sources once more for an address that is not known:
// until they have answered, or ctx ends.
func (s *Set) Find(ctx context.Context, address string) bool {
	if s == nil || address == "" || len(address) > maxAddress {
		return false
	}
	if s.Knows(address) {
		return true
	}
	for range 2 { // the question under way may have been asked too early
		for _, from := range s.following() {
			select {
			case <-from.askAgain():
			case <-ctx.Done():
				return false
			}
		}
		if s.Knows(address) {
			return true
		}
	}
	return false
}

func (s *Set) following() []*source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sources)
}

// Conn returns the connection to a known replica, made at the first use. done must be
// called after the last use of it; it is idempotent. The error is ErrUnknown or that
// of Dial.
func (s *Set) Conn(address string) (conn grpc.ClientConnInterface, done func(), err error) {
	if !s.Knows(address) {
		return nil, nil, ErrUnknown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrUnknown
	}
	c := s.conns[address]
	if c == nil {
		made, err := s.options.Dial(address)
		if err != nil {
			return nil, nil, err
		}
		c = &shared{conn: made}
		s.conns[address] = c
	}
	if c.users++; c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
	return c.conn, sync.OnceFunc(func() { s.release(address, c) }), nil
}

// release ends one use of a connection, which is closed after idleTime without a use.
func (s *Set) release(address string, c *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users--; c.users > 0 || s.conns[address] != c {
		return
	}
	c.idle = s.options.Guard.AfterFunc(idleTime, "an idle connection", func() { s.expire(address, c) })
}

func (s *Set) expire(address string, c *shared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.users == 0 && s.conns[address] == c {
		s.dropLocked(address)
	}
}

// dropLocked closes a connection.
func (s *Set) dropLocked(address string) {
	c := s.conns[address]
	delete(s.conns, address)
	if c.idle != nil {
		c.idle.Stop()
	}
	_ = c.conn.Close()
}

// closeUnknown closes the unused connections to replicas that are no longer known.
func (s *Set) closeUnknown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for address, c := range s.conns {
		if c.users == 0 && !s.knowsLocked(address) {
			s.dropLocked(address)
		}
	}
}
