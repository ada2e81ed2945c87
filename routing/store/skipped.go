package store

import (
	"log/slog"
	"sync/atomic"
)

// kind is what a value in Redis is. The numbers are those of scripts/window.lua.
type kind int

const (
	windowKind kind = iota
	slotKind
	epochKind
	replicaKind
	cooldownKind
	addressKind
	blobKind
	kinds // the number of them
)

// String names the kind for log and metrics.
func (k kind) String() string {
	return [kinds]string{"window", "slot", "epoch", "replica", "cooldown", "address", "blob"}[k]
}

// skipped counts the values in Redis that this version cannot read: another version or
// another program wrote them. It is safe for concurrent use.
type skipped struct {
	log    *slog.Logger // nil: none
	counts [kinds]atomic.Int64
}

// add counts n values. The first of a kind is logged: the others may be many.
func (s *skipped) add(k kind, n int64) {
	if n <= 0 || s.counts[k].Add(n) != n || s.log == nil {
		return
	}
	s.log.Warn("redis holds values that this version cannot read: they are skipped, and counted in isthmus_store_skipped_values_total",
		"kind", k.String())
}

// read counts what a script has skipped.
func (s *skipped) read(in *reader) {
	for n := in.num(); n > 0 && !in.bad; n-- {
		k, count := in.num(), in.num()
		if in.bad = in.bad || k < 0 || k >= int64(blobKind); !in.bad {
			s.add(kind(k), count)
		}
	}
}

// Skipped is how many values in Redis were skipped since the start, by their kind: this
// version cannot read them.
func (s *Shared) Skipped() map[string]int64 {
	if s.redis == nil {
		return nil
	}
	out := make(map[string]int64, kinds)
	for k := range kinds {
		out[k.String()] = s.redis.skipped.counts[k].Load()
	}
	return out
}
