package exec

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// Config says what to run.
type Config struct {
	Command Command
	Dir     string // where it runs; default the gateway's folder
	Log     *slog.Logger
	Guard   *guard.Guard
}

// Sink feeds a child process. It is a [callback.Deliverer] of events; its queue
// gives the pauses between restarts. Deliver must not be called after Close.
type Sink struct {
	config Config

	mu    sync.Mutex // held while child changes; never over a write
	child *child     // nil: none runs
	ended bool
}

// New makes a sink. The program starts with the first batch.
func New(c Config) *Sink { return &Sink{config: c} }

// Deliver writes a batch to the program, and starts it when it does not run. An
// error means that the program did not take all of it: it is then dead, and the
// next call starts another.
func (s *Sink) Deliver(ctx context.Context, batch []*callback.Event) error {
	var lines bytes.Buffer
	for _, e := range batch {
		line, err := callback.Encode(e)
		if err != nil {
			return err
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	c, err := s.running()
	if err != nil {
		return err
	}
	if err := c.write(ctx, lines.Bytes()); err != nil {
		s.mu.Lock()
		s.child = nil
		s.mu.Unlock()
		return fmt.Errorf("write to %s: %w", s.config.Command.Words[0], err)
	}
	return nil
}

// running returns the child, a new one if need be.
func (s *Sink) running() (*child, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.child != nil {
		select {
		case <-s.child.gone:
			s.child = nil
			return nil, fmt.Errorf("%s has ended", s.config.Command.Words[0])
		default:
			return s.child, nil
		}
	}
	if s.ended {
		return nil, callback.Permanent(fmt.Errorf("%s: the gateway is shutting down", s.config.Command.Words[0]))
	}
	c, err := start(s.config)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.config.Command.Words[0], err)
	}
	s.child = c
	return c, nil
}

// grace is how long a program may take after SIGTERM.
const grace = 2 * time.Second

// Close closes the program's input and waits for it to exit; when ctx ends first
// it is told to (SIGTERM), and then made to.
func (s *Sink) Close(ctx context.Context) error {
	s.mu.Lock()
	c := s.child
	s.child, s.ended = nil, true
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.end(ctx)
}
