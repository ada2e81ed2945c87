package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// hold asks for one of limit slots.
func (b *bench) hold(id string, limit int64, lease time.Duration) store.Reply {
	b.Helper()
	return b.acquire(store.Request{ID: id, Lease: lease, Candidates: []store.Demand{{Slots: []store.Slot{b.slot("slots", limit)}}}})
}

func (b *bench) free(id string) {
	b.Helper()
	if err := b.s.Settle(b.Context(), []store.Settlement{{ID: id, Slots: []string{b.key + "slots"}}}); err != nil {
		b.Fatal(err)
	}
}

func testSlots(b *bench) {
	var held, most atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			id := b.id()
			if b.hold(id, 7, time.Minute).Chosen < 0 {
				return
			}
			for n := held.Add(1); ; {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			held.Add(-1)
			b.free(id)
			b.free(id) // twice is once
		})
	}
	all.Wait()
	if most.Load() > 7 {
		b.Errorf("%d of 7 slots were held at once", most.Load())
	}
	for i := range 8 {
		if got, want := b.hold(b.id(), 7, time.Minute).Chosen, min(0, 6-i); (got < 0) != (want < 0) {
			b.Errorf("after all were given back, slot %d: %d", i+1, got)
		}
	}
}

func testLease(b *bench, s Remote) {
	const lease = 1500 * time.Millisecond // a machine that stands still for less may renew late
	began := time.Now()
	b.wantChosen(b.hold("dead", 2, lease), 0)
	b.wantChosen(b.hold("alive", 2, lease), 0)
	renew := func() {
		b.Helper()
		if err := s.Renew(b.Context(), lease, []store.Held{{Key: b.key + "slots", ID: "alive"}}); err != nil {
			b.Fatal(err)
		}
	}
	for b.hold("next", 2, time.Minute).Chosen < 0 {
		renew()
		if time.Since(began) > 20*time.Second {
			b.Fatal("the slot never comes back")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if took := time.Since(began); took < lease-5*time.Millisecond {
		b.Errorf("the slot came back after %v, before its lease of %v was over", took, lease)
	}
	b.wantChosen(b.hold("more", 2, time.Minute), -1) // "alive" was renewed
	if peers, err := b.s.Beat(b.Context(), store.Beat{Slots: []string{b.key + "slots"}}); err != nil || peers.Held[0] != 2 {
		b.Errorf("%v slots are held, want 2: %v", peers.Held, err)
	}
	// One whose lease has ended, its store being away, is held again when renewed.
	if err := s.Renew(b.Context(), time.Minute, []store.Held{{Key: b.key + "slots", ID: "late"}}); err != nil {
		b.Fatal(err)
	}
	b.wantChosen(b.hold("more", 3, time.Minute), -1)
	b.wantChosen(b.hold("more", 4, time.Minute), 0)
}

func testHeld(b *bench) {
	b.wantChosen(b.hold("one", 9, time.Minute), 0)
	b.wantChosen(b.hold("two", 9, time.Minute), 0)
	b.take(b.window("rpm", 9, 1), b.window("tpm", 900, 70))
	b.free("two")
	beat := store.Beat{Watch: []string{b.key + "rpm", b.key + "none", b.key + "tpm"}, Slots: []string{b.key + "none", b.key + "slots"}}
	asynctest.Await(b, "[1 0 70] is used and [0 1] held", func() bool {
		peers, err := b.s.Beat(b.Context(), beat)
		if err != nil {
			b.Fatal(err)
		}
		return fmt.Sprint(peers.Used) == "[1 0 70]" && fmt.Sprint(peers.Held) == "[0 1]"
	})
}

func testReturn(b *bench) {
	demand := store.Demand{Windows: []store.Window{b.window("rpm", 1, 1)}, Slots: []store.Slot{b.slot("slots", 1)}}
	first := b.acquire(store.Request{ID: "x", Candidates: []store.Demand{demand}})
	b.wantChosen(first, 0)
	b.wantChosen(b.acquire(store.Request{ID: "x", Candidates: []store.Demand{demand}}), -1)
	again := b.acquire(store.Request{
		ID: "x", Candidates: []store.Demand{demand},
		Return: store.Settlement{ID: "x", Slots: []string{demand.Slots[0].Key},
			Corrections: []store.Correction{{Key: demand.Windows[0].Key, Second: first.Second, Delta: -1}}},
	})
	b.wantChosen(again, 0)
	b.wantUsed("rpm", 1)
	b.wantChosen(b.hold("y", 1, time.Minute), -1)
}

func testCooldowns(b *bench, s Remote) {
	mine := func() map[string]store.Cooldown {
		b.Helper()
		all, err := s.Cooldowns(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		found := map[string]store.Cooldown{}
		for _, c := range all {
			found[c.Deployment] = c
		}
		return found
	}
	put := func(name, cause string, rest time.Duration) {
		b.Helper()
		if err := s.PutCooldown(b.Context(), store.Cooldown{Deployment: b.key + name, Until: time.Now().Add(rest), Cause: cause}); err != nil {
			b.Fatal(err)
		}
	}
	put("long", "429 two words\nand a line", time.Minute)
	put("short", "500", 150*time.Millisecond)
	put("dropped", "500", time.Minute)
	c := mine()[b.key+"long"]
	if rest := time.Until(c.Until); c.Cause != "429 two words\nand a line" || rest < 58*time.Second || rest > 61*time.Second {
		b.Errorf("cooldown %+v", c)
	}
	if err := s.DropCooldown(b.Context(), b.key+"dropped"); err != nil {
		b.Fatal(err)
	}
	asynctest.Await(b, "the short cooldown ends", func() bool {
		found := mine()
		if _, there := found[b.key+"dropped"]; there {
			b.Fatal("the dropped cooldown is still there")
		}
		if _, there := found[b.key+"long"]; !there {
			b.Fatal("the long cooldown is gone")
		}
		_, there := found[b.key+"short"]
		return !there
	})
}
