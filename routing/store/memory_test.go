package store

import (
	"context"
	"testing"
	"time"
)

// What Redis charges in one second may come to its mirror in the next one, or by its
// clock in one that is still to come.
func TestAMirroredChargeIsCorrectedWhereItWasMade(t *testing.T) {
	for name, ahead := range map[string]int64{"the second before": -1, "the same": 0, "the second after": 1} {
		m := NewMemory(func() time.Time { return time.Unix(1_800_000_000, 0) })
		second := 1_800_000_000 + ahead
		q := &Request{ID: "one", Candidates: []Demand{{Windows: []Window{{Key: "tpm", Limit: 100, Cost: 17}}}}}
		m.mirror(q, &Reply{Second: second})
		if err := m.Settle(context.Background(), []Settlement{{Corrections: []Correction{{"tpm", second, 5 - 17}}}}); err != nil {
			t.Fatal(err)
		}
		if all := m.charges(); len(all) != 1 || all[0] != (Correction{"tpm", second, 5}) {
			t.Errorf("%s: %+v, want 5 in the second %d", name, all, second)
		}
	}
}
