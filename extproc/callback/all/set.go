package all

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// Set is the sinks of one configuration. Its methods but Close never block and
// are safe for concurrent use. A nil Set has no sinks.
type Set struct {
	policy   callback.Policy
	guard    *guard.Guard
	records  []recordSink
	events   []eventSink
	wants    Wants
	closers  []func(context.Context) error // what queues leave open
	closing  sync.Once
	closeErr error
}

// recordSink is a queue of records.
type recordSink struct {
	queue            *callback.Queue[*callback.Record]
	success, failure bool
}

// eventSink is a queue of events.
type eventSink struct {
	queue *callback.Queue[*callback.Event]
	hooks []callback.Hook
}

// Wants says what somebody listens to, so that the rest need not be made.
type Wants struct {
	Success, Failure bool // records of requests that ended well, or did not
	PreAPICall       bool // events before each attempt
	PostAPICall      bool // events after each attempt
	StreamEvent      bool // events of chunks
}

// Records reports whether any record is wanted, and so whether the text of
// answers must be kept.
func (w Wants) Records() bool { return w.Success || w.Failure }

// Text reports whether anybody listens to the text of answers, so that they must
// be read.
func (w Wants) Text() bool { return w.Records() || w.StreamEvent }

// Wants returns what somebody listens to. It never changes.
func (s *Set) Wants() Wants {
	if s == nil {
		return Wants{}
	}
	return s.wants
}

// Record hands over a record, whole and never to be changed again: redaction and
// cutting happen here. wish is what the request said, see [callback.ReadWish].
func (s *Set) Record(r *callback.Record, wish callback.Wish) {
	failed := r.Status == callback.Failure
	if s == nil || failed && !s.wants.Failure || !failed && !s.wants.Success {
		return
	}
	s.policy.Apply(r, wish)
	for _, sink := range s.records {
		if failed && sink.failure || !failed && sink.success {
			sink.queue.Add(r)
		}
	}
	if len(s.events) > 0 {
		s.add(callback.EventOf(r))
	}
}

// Event hands over an event of an attempt or of a stream, never to be changed
// again. Its messages or chunk are redacted as those of records are.
func (s *Set) Event(e *callback.Event, wish callback.Wish) {
	if s == nil {
		return
	}
	s.policy.ApplyEvent(e, wish)
	s.add(e)
}

func (s *Set) add(e *callback.Event) {
	for _, sink := range s.events {
		if slices.Contains(sink.hooks, e.Hook) {
			sink.queue.Add(e)
		}
	}
}

// Stats returns the counters of every queue.
func (s *Set) Stats() []callback.Stats {
	if s == nil {
		return nil
	}
	out := make([]callback.Stats, 0, len(s.records)+len(s.events))
	for _, sink := range s.records {
		out = append(out, sink.queue.Stats())
	}
	for _, sink := range s.events {
		out = append(out, sink.queue.Stats())
	}
	return out
}

// Close delivers what is queued and ends all sinks, side by side, at the latest
// when ctx ends. Records that come later are dropped. The error names what was
// lost.
func (s *Set) Close(ctx context.Context) error {
	if s == nil {
		return nil
	}
	s.closing.Do(func() { s.closeErr = s.closeAll(ctx) })
	return s.closeErr
}

func (s *Set) closeAll(ctx context.Context) error {
	closers := make([]func(context.Context) error, 0, len(s.records)+len(s.events))
	for _, sink := range s.records {
		closers = append(closers, sink.queue.Close)
	}
	for _, sink := range s.events {
		closers = append(closers, sink.queue.Close)
	}
	return errors.Join(s.together(ctx, closers), s.together(ctx, s.closers))
}

// together calls functions side by side and joins their errors.
func (s *Set) together(ctx context.Context, functions []func(context.Context) error) error {
	errs := make([]error, len(functions))
	var wg sync.WaitGroup
	for i, f := range functions {
		wg.Go(func() { errs[i] = s.guard.Call("the end of the callbacks", func() error { return f(ctx) }) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
