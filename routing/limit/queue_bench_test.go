package limit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// BenchmarkQueueRelease is what one slot costs that is given back, while 1000 requests
// wait: the queue serves one of them, whose place is taken by another. tries/op is how
// often the store is asked.
func BenchmarkQueueRelease(b *testing.B) {
	for name, tc := range map[string]struct{ keys, callers, each int }{
		"1000 wait for 50 slots":                       {50, 1, 1},
		"1000 of 100 callers wait for 50 slots":        {50, 100, 1},
		"1000 wait for any of 8 among 50":              {50, 1, 8},
		"1000 of 1000 callers wait for the same slot":  {1, 1000, 1},
		"1000 of 1000 callers wait for any of 8 of 50": {50, 1000, 8},
	} {
		b.Run(name, func(b *testing.B) {
			w := newSlotWorld(nil)
			q := w.queue
			q.serving = true // the rounds are this benchmark's
			enter := func(n int) *entry {
				var keys []string
				for i := range tc.each {
					keys = append(keys, fmt.Sprint("slot-", (n+i)%tc.keys))
				}
				p := placeFor(keys...)
				p.caller = fmt.Sprint(n % tc.callers)
				e := &entry{ctx: context.Background(), place: p, came: time.Now(), waiter: &slotWaiter{world: w, keys: keys}, done: make(chan error, 1)}
				if err := q.enter(e, QueueOptions{Size: 2000}.withDefaults()); err != nil {
					b.Fatal(err)
				}
				return e
			}
			for n := range 1000 {
				enter(n)
			}
			q.tryAll()
			w.tries = nil
			b.ReportAllocs()
			n := 1000
			for b.Loop() {
				key := fmt.Sprint("slot-", n%tc.keys)
				w.free[key]++
				q.wake(&store.Settlement{Slots: []string{key}})
				q.tryAll()
				enter(n)
				n++
				q.tryAll()
			}
			b.ReportMetric(float64(len(w.tries))/float64(b.N), "tries/op")
			if q.len() != 1000 {
				b.Errorf("%d wait", q.len())
			}
		})
	}
}

// BenchmarkQueuePoll is one look at all slots while 1000 requests wait.
func BenchmarkQueuePoll(b *testing.B) {
	for _, keys := range []int{1, 50} {
		b.Run(fmt.Sprintf("1000 wait for %d slots", keys), func(b *testing.B) {
			w := newSlotWorld(nil)
			q := w.queue
			q.serving = true
			for n := range 1000 {
				key := fmt.Sprint("slot-", n%keys)
				waits := &slotWaiter{world: w, keys: []string{key}}
				e := &entry{ctx: context.Background(), place: placeFor(key), waiter: waits, done: make(chan error, 1)}
				if err := q.enter(e, QueueOptions{}.withDefaults()); err != nil {
					b.Fatal(err)
				}
			}
			q.tryAll()
			w.tries = nil
			b.ReportAllocs()
			for b.Loop() {
				q.lookAtAll()
				q.tryAll()
			}
			b.ReportMetric(float64(len(w.tries))/float64(b.N), "tries/op")
		})
	}
}
