package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// table keeps what belongs to each key once it was built. Reading takes no lock
// and allocates nothing; the keys are few, since all their parts come from the
// configuration.
type table[K comparable, V any] struct {
	build func(K) *V

	mu      sync.Mutex // of those who add
	current atomic.Pointer[map[K]*V]
}

// get returns what belongs to the key.
func (t *table[K, V]) get(k K) *V {
	if m := t.current.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := map[K]*V{}
	if m := t.current.Load(); m != nil {
		if v, ok := (*m)[k]; ok {
			return v
		}
		next = maps.Clone(*m)
	}
	v := t.build(k)
	next[k] = v
	t.current.Store(&next)
	return v
}
