package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Store is what the suite asks of every store.
type Store interface {
	Acquire(context.Context, *store.Request) (store.Reply, error)
	Settle(context.Context, []store.Settlement) error
	Beat(context.Context, store.Beat) (store.Peers, error)
}

// Remote is what the suite asks of a store that many processes share.
type Remote interface {
	Store
	Renew(context.Context, time.Duration, []store.Held) error
	PutCooldown(context.Context, store.Cooldown) error
	DropCooldown(context.Context, string) error
	Cooldowns(context.Context) ([]store.Cooldown, error)
}

// testCase is one case of the suite.
type testCase struct {
	name string
	run  func(*bench)
}

// RunRemote runs the suite with the cases that only a store of many processes can
// pass: leases and cooldowns.
func RunRemote(t *testing.T, s Remote) {
	Run(t, s)
	run(t, s, []testCase{
		{"a slot that nobody renews comes back", func(b *bench) { testLease(b, s) }},
		{"cooldowns are kept until they end or are dropped", func(b *bench) { testCooldowns(b, s) }},
	})
}

// Run runs the suite. All cases use the one store, each with keys of its own; it
// must live by the real time.
func Run(t *testing.T, s Store) {
	run(t, s, []testCase{
		{"exactly the limit is admitted, however many ask at once", testExact},
		{"refused by one window is charged by none", testAllOrNothing},
		{"the first candidate with room is charged, and only that", testFirstWithRoom},
		{"a shared window refuses every candidate", testShared},
		{"a cost above the limit has room when the window is empty", testAboveLimit},
		{"a charge counts for 60 s and one slice, and the wait says so", testSliding},
		{"the longest wait is 61 s", testLongestWait},
		{"corrections change the slice of the charge", testCorrections},
		{"a slice that has left its window is not corrected", testLateCorrection},
		{"slots are held until they are given back", testSlots},
		{"it is told how many slots are held", testHeld},
		{"what is returned makes room in the same step", testReturn},
		{"a missing slot is told from a full window, and which slot it is", testLacks},
		{"random charges agree with a plain count", testModel},
	})
}

func run(t *testing.T, s Store, cases []testCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(&bench{T: t, s: s, key: fmt.Sprintf("%s-%d/", t.Name(), time.Now().UnixNano())})
		})
	}
}

// bench is one case at work on a store.
type bench struct {
	*testing.T
	s   Store
	key string // what its keys begin with
	ids atomic.Int64
}

func (b *bench) window(name string, limit, cost int64) store.Window {
	return store.Window{Key: b.key + name, Limit: limit, Cost: cost}
}

func (b *bench) slot(name string, limit int64) store.Slot {
	return store.Slot{Key: b.key + name, Limit: limit}
}

func (b *bench) id() string { return fmt.Sprint("id-", b.ids.Add(1)) }

// acquire fills in what the request leaves out.
func (b *bench) acquire(r store.Request) store.Reply {
	b.Helper()
	if r.ID == "" {
		r.ID = b.id()
	}
	if r.Lease == 0 {
		r.Lease = time.Minute
	}
	if r.Candidates == nil {
		r.Candidates = []store.Demand{{}}
	}
	reply, err := b.s.Acquire(b.Context(), &r)
	if err != nil {
		b.Fatal(err)
	}
	return reply
}

// take asks for windows that every candidate needs.
func (b *bench) take(w ...store.Window) store.Reply {
	b.Helper()
	return b.acquire(store.Request{Shared: store.Demand{Windows: w}})
}

func (b *bench) correct(key string, second, delta int64) {
	b.Helper()
	err := b.s.Settle(b.Context(), []store.Settlement{{Corrections: []store.Correction{{Key: b.key + key, Second: second, Delta: delta}}}})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) used(names ...string) []int64 {
	b.Helper()
	var beat store.Beat
	for _, n := range names {
		beat.Watch = append(beat.Watch, b.key+n)
	}
	peers, err := b.s.Beat(b.Context(), beat)
	if err != nil {
		b.Fatal(err)
	}
	return peers.Used
}

func (b *bench) wantUsed(name string, want int64) {
	b.Helper()
	if got := b.used(name)[0]; got != want {
		b.Errorf("window %s: %d used, want %d", name, got, want)
	}
}

func (b *bench) wantChosen(r store.Reply, want int) {
	b.Helper()
	if r.Chosen != want {
		b.Errorf("candidate %d was chosen, want %d (%+v)", r.Chosen, want, r)
	}
}

func testExact(b *bench) {
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range 400 {
		all.Go(func() {
			if b.take(b.window("rpm", 100, 1)).Chosen == 0 {
				admitted.Add(1)
			}
		})
	}
	all.Wait()
	if n := admitted.Load(); n != 100 {
		b.Errorf("%d of 400 were admitted, want 100", n)
	}
	b.wantUsed("rpm", 100)
}

func testAllOrNothing(b *bench) {
	b.wantChosen(b.take(b.window("rpm", 5, 1), b.window("tpm", 100, 80)), 0)
	b.wantChosen(b.take(b.window("rpm", 5, 1), b.window("tpm", 100, 21)), -1)
	b.wantUsed("rpm", 1)
	b.wantUsed("tpm", 80)
	r := b.take(b.window("rpm", 5, 1), b.window("tpm", 100, 20))
	b.wantChosen(r, 0)
	if len(r.Usage) != 2 || r.Usage[0].Used != 2 || r.Usage[1].Used != 100 {
		b.Errorf("usage %+v, want 2 and 100", r.Usage)
	}
	for _, u := range r.Usage {
		if u.Reset < 59*time.Second || u.Reset > store.MaxWait {
			b.Errorf("a window just charged is empty in %v", u.Reset)
		}
	}
}

func testFirstWithRoom(b *bench) {
	ask := func() store.Reply {
		return b.acquire(store.Request{Candidates: []store.Demand{
			{Windows: []store.Window{b.window("a", 1, 1)}},
			{Windows: []store.Window{b.window("b", 2, 1)}},
			{Windows: []store.Window{b.window("c", 1, 1)}},
		}})
	}
	for i, want := range []int{0, 1, 1, 2, -1} {
		if r := ask(); r.Chosen != want {
			b.Errorf("request %d went to candidate %d, want %d", i, r.Chosen, want)
		}
	}
	for i, want := range []int64{1, 2, 1} {
		if got := b.used("a", "b", "c")[i]; got != want {
			b.Errorf("candidate %d was charged %d, want %d", i, got, want)
		}
	}
}

func testShared(b *bench) {
	ask := func() store.Reply {
		return b.acquire(store.Request{
			Shared:     store.Demand{Windows: []store.Window{b.window("caller", 1, 1)}},
			Candidates: []store.Demand{{Windows: []store.Window{b.window("a", 9, 1)}}, {}},
		})
	}
	b.wantChosen(ask(), 0)
	r := ask()
	b.wantChosen(r, -1)
	if r.Lacks != nil || r.Wait <= 59*time.Second {
		b.Errorf("refused by a window just filled: %+v", r)
	}
	r = b.take(b.window("a", 9, 1), b.window("caller", 1, 1), b.window("b", 9, 1))
	if len(r.Usage) != 3 || r.Usage[0].Wait != 0 || r.Usage[1].Wait != r.Wait || r.Usage[2].Wait != 0 {
		b.Errorf("it is not told which window has no room: %+v", r)
	}
	b.wantUsed("a", 1)
}

func testAboveLimit(b *bench) {
	b.wantChosen(b.take(b.window("tpm", 10, 50)), 0)
	b.wantUsed("tpm", 50)
	b.wantChosen(b.take(b.window("tpm", 10, 1)), -1)
}

func testLacks(b *bench) {
	slot := store.Demand{Slots: []store.Slot{b.slot("busy", 1)}}
	full := store.Demand{Windows: []store.Window{b.window("full", 1, 1)}}
	other := store.Demand{Slots: []store.Slot{b.slot("free", 1), b.slot("other", 1)}}
	b.acquire(store.Request{Candidates: []store.Demand{slot}})
	b.acquire(store.Request{Candidates: []store.Demand{full}})
	b.acquire(store.Request{Candidates: []store.Demand{{Slots: other.Slots[1:]}}})
	both := store.Demand{Windows: full.Windows, Slots: slot.Slots}
	for _, c := range []struct {
		name       string
		shared     store.Demand
		candidates []store.Demand
		want       []string
	}{
		{"a busy candidate", store.Demand{}, []store.Demand{slot}, []string{"busy"}},
		{"a full candidate", store.Demand{}, []store.Demand{full}, nil},
		{"one that is busy and full", store.Demand{}, []store.Demand{both}, nil},
		{"a full one and a busy one", store.Demand{}, []store.Demand{full, slot}, []string{"busy"}},
		{"two busy ones", store.Demand{}, []store.Demand{slot, other}, []string{"busy", "other"}},
		{"what all candidates share is busy", slot, []store.Demand{other, {}}, []string{"busy"}},
		{"what all candidates share is free", store.Demand{Slots: other.Slots[:1]}, []store.Demand{{Slots: other.Slots[1:]}}, []string{"other"}},
	} {
		r := b.acquire(store.Request{Shared: c.shared, Candidates: c.candidates})
		var lacks []string
		for _, key := range r.Lacks {
			lacks = append(lacks, strings.TrimPrefix(key, b.key))
		}
		if r.Chosen != -1 || !slices.Equal(lacks, c.want) || r.Wait <= 0 {
			b.Errorf("%s: lacks %q of %+v, want %q", c.name, lacks, r, c.want)
		}
	}
	if r := b.acquire(store.Request{Candidates: []store.Demand{slot, {}}}); r.Chosen != 1 || r.Lacks != nil {
		b.Errorf("admitted by the second candidate: %+v", r)
	}
}
