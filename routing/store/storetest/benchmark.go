package storetest

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Bench measures a request with a shared slot and two candidates of two windows:
// alone, in parallel, and refused.
func Bench(b *testing.B, s Store) {
	var ids atomic.Int64
	request := func(limit int64) *store.Request {
		return &store.Request{
			ID: strconv.FormatInt(ids.Add(1), 10), Lease: time.Minute,
			Shared: store.Demand{Slots: []store.Slot{{Key: "slots", Limit: limit}}},
			Candidates: []store.Demand{
				{Windows: []store.Window{{Key: "a/rpm", Limit: limit, Cost: 1}, {Key: "a/tpm", Limit: limit, Cost: 100}}},
				{Windows: []store.Window{{Key: "b/rpm", Limit: limit, Cost: 1}, {Key: "b/tpm", Limit: limit, Cost: 100}}},
			},
		}
	}
	one := func(b *testing.B) {
		q := request(1 << 40)
		r, err := s.Acquire(b.Context(), q)
		if err != nil || r.Chosen != 0 {
			b.Error(r, err)
		}
		err = s.Settle(b.Context(), []store.Settlement{{ID: q.ID, Slots: []string{"slots"},
			Corrections: []store.Correction{{Key: "a/tpm", Second: r.Second, Delta: -60}}}})
		if err != nil {
			b.Error(err)
		}
	}
	b.Run("acquire and settle", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			one(b)
		}
	})
	b.Run("acquire and settle, parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(b)
			}
		})
	})
	b.Run("refused", func(b *testing.B) {
		b.ReportAllocs()
		q := request(1)
		q.Shared.Slots = nil
		for range 2 { // fills both candidates, if earlier runs have not
			_, _ = s.Acquire(b.Context(), q)
		}
		for b.Loop() {
			if r, err := s.Acquire(b.Context(), q); err != nil || r.Chosen >= 0 {
				b.Error(r, err)
			}
		}
	})
}
