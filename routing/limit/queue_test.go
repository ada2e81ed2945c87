package limit_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// counter is a number of slots that a queue waits for.
type counter struct {
	mu   sync.Mutex
	free int
}

func (c *counter) take(context.Context) (lacks []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.free == 0 {
		return []string{"slot"}, nil
	}
	c.free--
	return nil, nil
}

func (c *counter) give(q *limit.Queue) {
	c.mu.Lock()
	c.free++
	c.mu.Unlock()
	q.Wake()
	synctest.Wait()
}

// served collects who is served, in order.
type served struct {
	queue *limit.Queue
	mu    sync.Mutex
	ids   []string
	all   sync.WaitGroup
}

// wait puts a request into the queue and lets it get there.
func (s *served) wait(ctx context.Context, p limit.Place, id string, c *counter) {
	s.all.Go(func() {
		_, err := s.queue.Wait(ctx, p, c.take)
		if err != nil {
			id = fmt.Sprintf("%s: %v", id, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ids = append(s.ids, id)
	})
	synctest.Wait()
}

func (s *served) want(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(want, s.ids); diff != "" {
		t.Errorf("served (-want +got):\n%s", diff)
	}
}

func TestQueueServesCallersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := limit.NewQueue(limit.QueueOptions{}), &counter{}
		s := &served{queue: q}
		for _, id := range []string{"a1", "a2", "a3", "b1", "c1", "b2"} {
			s.wait(t.Context(), limit.Place{Caller: id[:1]}, id, c)
		}
		for range 6 {
			c.give(q)
		}
		s.all.Wait()
		s.want(t, "a1", "b1", "c1", "a2", "b2", "a3")
		if q.Len() != 0 {
			t.Errorf("%d are left", q.Len())
		}
	})
}

func TestQueueIsBoundedInNumberAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		q, c := limit.NewQueue(limit.QueueOptions{Size: 3, Bytes: 100}), &counter{}
		s := &served{queue: q}
		s.wait(ctx, limit.Place{Bytes: 60}, "1", c)
		s.wait(ctx, limit.Place{Bytes: 41}, "2", c)
		s.wait(ctx, limit.Place{Bytes: 40}, "3", c)
		s.wait(ctx, limit.Place{}, "4", c)
		s.wait(ctx, limit.Place{}, "5", c)
		s.want(t, "2: the queue is full", "5: the queue is full")
		cancel()
		s.all.Wait()
		if q.Len() != 0 {
			t.Errorf("%d are left", q.Len())
		}
	})
}

func TestQueuePlaceEndsWithItsClientOrDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := limit.NewQueue(limit.QueueOptions{Size: 3}), &counter{}
		s := &served{queue: q}
		began := time.Now()
		gone, leave := context.WithCancel(t.Context())
		s.wait(gone, limit.Place{}, "gone", c)
		s.wait(t.Context(), limit.Place{Deadline: began.Add(5 * time.Second)}, "short", c)
		s.wait(t.Context(), limit.Place{}, "long", c)
		leave()
		synctest.Wait()
		s.wait(t.Context(), limit.Place{}, "another", c) // in the place of the one that left
		c.give(q)
		time.Sleep(6 * time.Second)
		s.want(t, "gone: context canceled", "short")
		s.all.Wait()
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("the last has waited %v, want the queue's 30 s", took)
		}
		if n := len(s.ids); n != 4 || q.Len() != 0 {
			t.Errorf("served %v, %d left", s.ids, q.Len())
		}
	})
}

func TestQueueDeadlineSaysLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := limit.NewQueue(limit.QueueOptions{}), &counter{}
		_, err := q.Wait(t.Context(), limit.Place{Deadline: time.Now().Add(time.Second)}, c.take)
		if !errors.Is(err, limit.ErrQueueLate) {
			t.Error(err)
		}
	})
}

func TestQueueFindsSlotsThatNobodyAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, c := limit.NewQueue(limit.QueueOptions{}), &counter{}
		s := &served{queue: q}
		s.wait(t.Context(), limit.Place{}, "1", c)
		began := time.Now()
		c.mu.Lock()
		c.free++
		c.mu.Unlock()
		s.all.Wait()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("found after %v", took)
		}
	})
}

func TestQueueOfOneModelDoesNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, busy, free := limit.NewQueue(limit.QueueOptions{}), &counter{}, &counter{free: 2}
		s := &served{queue: q}
		ctx, cancel := context.WithCancel(t.Context())
		s.wait(ctx, limit.Place{Class: "busy"}, "1", busy)
		s.wait(ctx, limit.Place{Class: "free"}, "2", free)
		s.wait(ctx, limit.Place{Caller: "x", Class: "free"}, "3", free)
		s.want(t, "2", "3")
		cancel()
		s.all.Wait()
	})
}

func TestQueuePassesOnTheErrorOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, broken := limit.NewQueue(limit.QueueOptions{}), errors.New("broken")
		_, err := q.Wait(t.Context(), limit.Place{}, func(context.Context) ([]string, error) { return nil, broken })
		if !errors.Is(err, broken) || q.Len() != 0 {
			t.Errorf("%v, %d left", err, q.Len())
		}
	})
}

// A try that says yes to somebody who has just left is not lost: Wait says so.
func TestQueueNeverLosesWhatATryHasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := limit.NewQueue(limit.QueueOptions{})
		_, err := q.Wait(t.Context(), limit.Place{Deadline: time.Now().Add(time.Second)}, func(ctx context.Context) ([]string, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestTenAtOnceTwoRunFiveWaitThreeAreRefused(t *testing.T) {
	o := limit.Options{MaxParallel: 2, Queue: &limit.QueueOptions{Size: 5}}
	alone(t, o, func(t *testing.T, w *world) {
		var mu sync.Mutex
		var order []int
		refused := 0
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				ask := w.ask("x")
				a, err := w.Admit(t.Context(), ask)
				if r := (*limit.Refused)(nil); errors.As(err, &r) && r.NeedsSlot {
					a, _, err = w.AdmitQueued(t.Context(), ask, limit.Ticket{})
				}
				mu.Lock()
				if err != nil {
					refused++
					if r := (*limit.Refused)(nil); !errors.As(err, &r) || r.Answer.Status != 429 || r.Answer.Header.Get("retry-after") == "" {
						t.Error(err)
					}
					mu.Unlock()
					return
				}
				order = append(order, i)
				mu.Unlock()
				time.Sleep(time.Second + time.Duration(i)*time.Millisecond) // no two end together
				a.Close(done)
			})
			synctest.Wait()
		}
		if n := w.Queued(); n != 5 {
			t.Errorf("%d wait", n)
		}
		began := time.Now()
		all.Wait()
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6}, order); diff != "" || refused != 3 {
			t.Errorf("%d refused; order (-want +got):\n%s", refused, diff)
		}
		if took := time.Since(began); took.Round(time.Second) != 4*time.Second {
			t.Errorf("seven requests of 1 s, two at a time, took %v", took)
		}
	})
}

func TestNobodyOvertakesTheQueue(t *testing.T) {
	o := limit.Options{Deployments: deployments(limit.Budget{}), MaxParallel: 1, Queue: &limit.QueueOptions{}}
	alone(t, o, func(t *testing.T, w *world) {
		running := w.admit("a")
		go func() {
			a, _, err := w.AdmitQueued(t.Context(), w.ask("a"), limit.Ticket{})
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(time.Second)
			a.Close(done)
		}()
		synctest.Wait()
		if r := w.refused(w.ask("a")); !r.NeedsSlot {
			t.Error("the newcomer is not told to wait")
		}
		running.Close(done)
		synctest.Wait()
		w.refused(w.ask("a")) // the one that waited has the slot
		time.Sleep(2 * time.Second)
		w.admit("a").Close(done)
	})
}
