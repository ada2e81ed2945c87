package storetest

import (
	"math/rand/v2"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// second is the store's present second: that of a charge.
func (b *bench) second() int64 {
	b.Helper()
	return b.take(b.window("clock", 1<<40, 0)).Second
}

// testSliding cannot wait a minute: it puts charges into the past.
func testSliding(b *bench) {
	second := b.second()
	b.correct("rpm", second-58, 2)
	b.correct("rpm", second-57, 1)
	asked, clock := time.Now(), asynctest.WatchStalls(b).Clock()
	r := b.take(b.window("rpm", 3, 1))
	b.wantChosen(r, -1)
	if r.Wait < time.Second || r.Wait > 4*time.Second {
		b.Errorf("the wait is %v, want that until the oldest slice is 61 s old", r.Wait)
	}
	for b.take(b.window("rpm", 3, 1)).Chosen < 0 {
		if time.Since(asked) > 20*time.Second {
			b.Fatal("the window never opens again")
		}
		time.Sleep(2 * time.Millisecond)
	}
	if took, late := clock(); took < r.Wait-50*time.Millisecond || took-late > r.Wait+500*time.Millisecond {
		b.Errorf("there was room after %v, announced was %v; the machine was late by %v", took, r.Wait, late)
	}
	if now := b.second(); now < second+3 {
		b.Errorf("a charge of second %d had left its window at %d: the rest of its own slice must count", second-58, now)
	}
}

func testLongestWait(b *bench) {
	b.take(b.window("rpm", 1, 1))
	if r := b.take(b.window("rpm", 1, 1)); r.Wait > store.MaxWait || r.Wait < 59*time.Second {
		b.Errorf("the wait behind a charge just made is %v", r.Wait)
	}
}

func testCorrections(b *bench) {
	r := b.take(b.window("tpm", 100, 60))
	b.correct("tpm", r.Second, -20)
	b.wantUsed("tpm", 40)
	b.correct("tpm", r.Second, 70)
	b.wantUsed("tpm", 110)
	b.wantChosen(b.take(b.window("tpm", 100, 1)), -1)
	b.correct("tpm", r.Second, -500)
	b.wantUsed("tpm", 0)
	b.correct("tpm", r.Second-1, -5)
	b.correct("new", r.Second, -5)
	b.wantUsed("tpm", 0)
	b.wantUsed("new", 0)
	b.wantChosen(b.take(b.window("tpm", 100, 100)), 0)
}

func testLateCorrection(b *bench) {
	second := b.second()
	b.take(b.window("tpm", 100, 10))
	b.correct("tpm", second-61, 7)
	b.correct("tpm", second-64, -7) // the same field as the present second, 64 s ago
	b.correct("tpm", second-1000, 7)
	b.wantUsed("tpm", 10)
	b.correct("tpm", second+1000, 5) // another replica's clock: now is the latest
	b.wantUsed("tpm", 15)
}

// testModel compares the store with a plain list of charges.
func testModel(b *bench) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		name := string(rune('a' + round))
		var model [70]int64
		start := b.second()
		for range 60 {
			age, delta := random.Int64N(70), random.Int64N(40)-10
			b.correct(name, start-age, delta)
			model[age] = max(model[age]+delta, 0)
		}
		used := b.used(name)[0]
		r := b.take(b.window(name, used+1, 2))
		if b.second() != start {
			continue // the second turned under us: the model is of another one
		}
		want := int64(0)
		oldest := int64(0)
		for age, n := range model[:61] {
			if want += n; n > 0 {
				oldest = int64(age)
			}
		}
		if diff := cmp.Diff(want, used); diff != "" {
			b.Errorf("round %d: used (-want +got):\n%s", round, diff)
		}
		if used == 0 {
			continue
		}
		if most := time.Duration(61-oldest) * time.Second; r.Wait > most || r.Wait < most-time.Second {
			b.Errorf("round %d: the wait is %v, want up to %v", round, r.Wait, most)
		}
	}
}
