package limit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// slotWorld is a queue and the slots that it waits for: how many are free, by key.
type slotWorld struct {
	*queue
	mu    sync.Mutex
	free  map[string]int
	tries []string // the requests tried, in order
}

func newSlotWorld(free map[string]int) *slotWorld {
	if free == nil {
		free = map[string]int{}
	}
	return &slotWorld{queue: newQueue(100*time.Millisecond, nil), free: free}
}

// slotWaiter needs one slot of any of the keys.
type slotWaiter struct {
	world *slotWorld
	id    string
	keys  []string
	err   error  // of every try
	hook  func() // runs in every try
	after func() // runs when a try has found nothing
}

func (w *slotWaiter) try(context.Context) (tried, error) {
	if w.hook != nil {
		w.hook()
	}
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	w.world.tries = append(w.world.tries, w.id)
	var t tried
	for _, key := range w.keys {
		s := store.Slot{Key: key, Limit: 1}
		if w.world.free[key] > 0 {
			w.world.free[key]--
			return tried{taken: []store.Slot{s}}, w.err
		}
		t.lacks = append(t.lacks, s)
	}
	if w.err != nil {
		return tried{}, w.err
	}
	if w.after != nil {
		w.world.mu.Unlock()
		w.after()
		w.world.mu.Lock()
	}
	return t, nil
}

func (w *slotWaiter) noRoom(string, map[string]int64) bool { return false }

// give gives slots back.
func (w *slotWorld) give(keys ...string) {
	w.mu.Lock()
	for _, key := range keys {
		w.free[key]++
	}
	w.mu.Unlock()
	w.wake(&store.Settlement{Slots: keys})
}

// placeFor is a place of a request that needs a slot of any of the keys.
func placeFor(keys ...string) place {
	var p place
	for _, key := range keys {
		p.candidates = append(p.candidates, candidateSlots{id: key, slots: []store.Slot{{Key: key, Limit: 1}}})
	}
	return p
}

// served collects who is served, in order.
type served struct {
	world *slotWorld
	o     QueueOptions
	mu    sync.Mutex
	ids   []string
	all   sync.WaitGroup
}

// wait puts a request of the caller that its id begins with into the queue, which needs a
// slot of any of the keys, and lets it get there.
func (s *served) wait(ctx context.Context, p place, id string, keys ...string) {
	needs := placeFor(keys...)
	p.candidates, p.caller = needs.candidates, id[:1]
	w := &slotWaiter{world: s.world, id: id, keys: keys}
	s.all.Go(func() {
		if _, _, err := s.world.wait(ctx, s.o.withDefaults(), p, w, nil); err != nil {
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
	for name, tc := range map[string]struct {
		come  []string // caller, number and the slots, any of which it needs
		given []string // slots, one after the other
		want  []string
	}{
		"callers take turns, each in the order of arrival": {
			[]string{"a1 x", "a2 x", "a3 x", "b1 x", "c1 x", "b2 x"}, []string{"x", "x", "x", "x", "x", "x"},
			[]string{"a1", "b1", "c1", "a2", "b2", "a3"},
		},
		"a turn at one slot is no turn at another": {
			[]string{"a1 x", "a2 x", "a3 y", "b1 y", "b2 y"}, []string{"x", "x", "y", "y", "y"},
			[]string{"a1", "a2", "a3", "b1", "b2"},
		},
		"turns hold among requests that need different slots": {
			[]string{"a1 x", "a2 x", "a3 x", "b1 x y", "a4 y"}, []string{"x", "x", "x"},
			[]string{"a1", "b1", "a2"},
		},
		"one caller's requests keep their order at a slot, whatever else they may take": {
			[]string{"a1 x y", "a2 x", "a3 y"}, []string{"x", "y", "x"},
			[]string{"a1", "a3", "a2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &served{world: newSlotWorld(nil)}
				ctx, cancel := context.WithCancel(t.Context())
				for _, each := range tc.come {
					words := strings.Fields(each)
					s.wait(ctx, place{}, words[0], words[1:]...)
				}
				for _, key := range tc.given {
					s.world.give(key)
					synctest.Wait()
				}
				s.want(t, tc.want...)
				cancel()
				s.all.Wait()
				if n := s.world.len(); n != 0 || len(s.world.classes)+len(s.world.slots)+len(s.world.callers) > 0 {
					t.Errorf("%d are left, with %d classes, %d slots, %d callers", n, len(s.world.classes), len(s.world.slots), len(s.world.callers))
				}
			})
		})
	}
}

// A caller that has always one request at the head does not keep others away.
func TestACallerThatComesBackIsBehindThoseThatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{world: newSlotWorld(nil)}
		for _, id := range []string{"a1", "b1", "b2", "b3"} {
			s.wait(t.Context(), place{}, id, "x")
		}
		for n := range 3 {
			for range 2 {
				s.world.give("x")
				synctest.Wait()
			}
			s.wait(t.Context(), place{}, fmt.Sprint("a", n+2), "x")
		}
		s.world.give("x")
		s.all.Wait()
		s.want(t, "a1", "b1", "b2", "a2", "b3", "a3", "a4")
	})
}

func TestQueueIsBoundedInNumberAndBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &served{world: newSlotWorld(nil), o: QueueOptions{Size: 3, Bytes: 100}}
		s.wait(ctx, place{bytes: 60}, "1", "x")
		s.wait(ctx, place{bytes: 41}, "2", "x")
		s.wait(ctx, place{bytes: 40}, "3", "x")
		s.wait(ctx, place{}, "4", "x")
		s.wait(ctx, place{}, "5", "x")
		s.want(t, "2: the requests in the queue take up its memory", "5: the queue is full")
		cancel()
		s.all.Wait()
		if n := s.world.len(); n != 0 || s.world.bytes != 0 {
			t.Errorf("%d are left, of %d bytes", n, s.world.bytes)
		}
	})
}

func TestQueuePlaceEndsWithItsClientOrDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{world: newSlotWorld(nil), o: QueueOptions{Size: 3}}
		began := time.Now()
		gone, leave := context.WithCancel(t.Context())
		s.wait(gone, place{}, "gone", "x")
		s.wait(t.Context(), place{deadline: began.Add(5 * time.Second)}, "short", "x")
		s.wait(t.Context(), place{}, "long", "x")
		leave()
		synctest.Wait()
		s.wait(t.Context(), place{until: began.Add(20 * time.Second)}, "another", "x") // in the place of the one that left
		time.Sleep(40 * time.Second)
		s.want(t, "gone: context canceled", "short: "+errRequestLate.Error(), "another: "+errQueueLate.Error(), "long: "+errQueueLate.Error())
		s.all.Wait()
		if n := s.world.len(); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

func TestQueueFindsSlotsThatNobodyAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{world: newSlotWorld(nil)}
		s.wait(t.Context(), place{}, "1", "x")
		began := time.Now()
		s.world.mu.Lock()
		s.world.free["x"]++
		s.world.mu.Unlock()
		s.all.Wait()
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("found after %v", took)
		}
	})
}

func TestQueuePassesOnTheErrorOfATry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, broken := newSlotWorld(nil), errors.New("broken")
		for name, tc := range map[string]struct {
			waiter *slotWaiter
			want   error
		}{
			"its own error": {&slotWaiter{world: w, err: broken}, broken},
			"a panic":       {&slotWaiter{world: w, hook: func() { panic("a bug") }}, guard.ErrPanicked},
		} {
			_, _, err := w.wait(t.Context(), QueueOptions{}.withDefaults(), placeFor("x"), tc.waiter, nil)
			if !errors.Is(err, tc.want) || w.len() != 0 {
				t.Errorf("%s: %v, %d left", name, err, w.len())
			}
		}
	})
}

// A try that says yes to somebody who has just left is not lost: wait says so.
func TestQueueNeverLosesWhatATryHasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSlotWorld(map[string]int{"x": 1})
		ctx, leave := context.WithCancel(t.Context())
		slow := &slotWaiter{world: w, keys: []string{"x"}, hook: func() { leave(); time.Sleep(time.Second) }}
		if _, _, err := w.wait(ctx, QueueOptions{}.withDefaults(), placeFor("x"), slow, nil); err != nil {
			t.Error(err)
		}
	})
}

// A slot that is given back while a try finds it full is looked at again at once.
func TestASlotThatIsGivenBackDuringATryIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSlotWorld(nil)
		tries := 0
		slow := &slotWaiter{world: w, keys: []string{"x"}}
		slow.after = func() {
			if tries++; tries == 2 {
				w.give("x") // the answer of the store is older
			}
		}
		began := time.Now()
		result := make(chan error, 1)
		go func() {
			_, _, err := w.wait(t.Context(), QueueOptions{}.withDefaults(), placeFor("x"), slow, nil)
			result <- err
		}()
		synctest.Wait()
		w.wake(&store.Settlement{Slots: []string{"x"}})
		if err := <-result; err != nil || time.Since(began) > 0 {
			t.Errorf("%v, after %v and %d tries", err, time.Since(began), tries)
		}
	})
}

// A shared store hears of a slot that is given back a moment after the queue.
func TestASlotThatTheStoreHearsOfLateIsLookedAtOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &served{world: newSlotWorld(nil)}
		s.wait(t.Context(), place{}, "1", "x")
		began := time.Now()
		s.world.wake(&store.Settlement{Slots: []string{"x"}})
		synctest.Wait()
		s.world.mu.Lock()
		s.world.free["x"]++
		s.world.mu.Unlock()
		s.all.Wait()
		if took := time.Since(began); took > recheckAfter {
			t.Errorf("found after %v", took)
		}
	})
}

func TestTheStoreIsAskedOnceForEachSlotHoweverManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &served{world: newSlotWorld(nil)}
		for n := range 200 {
			s.wait(ctx, place{}, fmt.Sprint(n), fmt.Sprint("slot-", n%10))
		}
		tries := func() int {
			s.world.mu.Lock()
			defer s.world.mu.Unlock()
			n := len(s.world.tries)
			s.world.tries = nil
			return n
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		tries()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := tries(); n != 10 {
			t.Errorf("a poll asks %d times for 10 slots", n)
		}
		s.world.give("slot-3")
		synctest.Wait()
		if n := tries(); n != 2 {
			t.Errorf("a slot that is given back asks %d times, want 2: for the one that gets it and for the next", n)
		}
		cancel()
		s.all.Wait()
	})
}
