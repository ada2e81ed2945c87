package peer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// source is one way by which replicas are known.
type source struct {
	name string
	ask  func(context.Context) ([]string, error)
	wake chan struct{} // asks for a poll now; holds one request

	mu        sync.Mutex
	addresses map[string]struct{} // of the last answer that had any
	received  time.Time           // when that came
	asked     chan struct{}       // closed by the next answer, then replaced
	away      bool                // the last answer was an error
}

// Follow asks a source for the addresses of replicas, now and from then on, until
// stop is called, which is idempotent. ask is called by one goroutine at a time and
// may block; name is for the log. Addresses that it returns replace those before, also
// beside an error; an error without addresses leaves those before in force.
func (s *Set) Follow(name string, ask func(context.Context) ([]string, error)) (stop func()) {
	from := &source{name: name, ask: ask, wake: make(chan struct{}, 1), asked: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.mu.Lock()
	s.sources = append(s.sources, from)
	s.mu.Unlock()
	s.poll(ctx, from)
	s.options.Guard.Go("the search for replicas", func() {
		defer close(done)
		s.follow(ctx, from)
	})
	return func() {
		cancel()
		<-done
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sources = slices.DeleteFunc(s.sources, func(each *source) bool { return each == from })
	}
}

func (s *Set) follow(ctx context.Context, from *source) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		last := time.Now()
		select {
		case <-ctx.Done():
			from.answered() // releases callers of askAgain
			return
		case <-tick.C:
		case <-from.wake:
			select {
			case <-ctx.Done():
				from.answered()
				return
			case <-time.After(pollSoonest - time.Since(last)):
			}
		}
		s.poll(ctx, from)
	}
}

// poll asks a source once.
func (s *Set) poll(ctx context.Context, from *source) {
	defer from.answered()
	limit, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var list []string
	err := s.options.Guard.Call("the search for replicas", func() (err error) {
		list, err = from.ask(limit)
		return err
	})
	if err == nil && len(list) > maxReplicas {
		s.options.Log.Warn("there are more replicas than can be known", "source", from.name, "replicas", len(list), "known", maxReplicas)
		list = list[:maxReplicas]
	}
	switch gone := from.record(list, err); {
	case ctx.Err() != nil, errors.Is(err, ErrAway):
	case gone && err != nil:
		s.options.Log.Warn("other replicas cannot be asked for: those known so far are", "source", from.name, "error", err)
	case gone:
		s.options.Log.Info("other replicas can be asked for again", "source", from.name)
	}
	s.closeUnknown()
}

// record keeps an answer. It reports whether the source became unavailable by it, or
// available again.
func (from *source) record(list []string, err error) (changed bool) {
	from.mu.Lock()
	defer from.mu.Unlock()
	changed = from.away != (err != nil)
	if from.away = err != nil; from.away && len(list) == 0 {
		return changed
	}
	from.addresses, from.received = make(map[string]struct{}, len(list)), time.Now()
	for _, address := range list {
		from.addresses[address] = struct{}{}
	}
	return changed
}

// names reports whether the last answer has an address and is not older than
// knownFor.
func (from *source) names(address string, now time.Time) bool {
	from.mu.Lock()
	defer from.mu.Unlock()
	_, named := from.addresses[address]
	return named && now.Sub(from.received) < knownFor
}

// askAgain wakes the goroutine that asks. The channel that it returns is closed by the
// next answer.
func (from *source) askAgain() <-chan struct{} {
	from.mu.Lock()
	defer from.mu.Unlock()
	select {
	case from.wake <- struct{}{}:
	default:
	}
	return from.asked
}

// answered releases callers of askAgain.
func (from *source) answered() {
	from.mu.Lock()
	defer from.mu.Unlock()
	close(from.asked)
	from.asked = make(chan struct{})
}
