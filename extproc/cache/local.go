package cache

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"
)

// Local keeps entries in this process, bounded by bytes. It is safe for
// concurrent use.
type Local struct {
	cache *otter.Cache[string, localValue]
}

type localValue struct {
	blob []byte
	ttl  time.Duration
}

// DefaultLocalSize is the size of a Local cache when none is configured, in
// bytes.
const DefaultLocalSize = 256 << 20

// overhead is what an entry costs beside its key and value, in bytes, roughly.
const overhead = 160

// NewLocal returns an empty cache of at most size bytes; 0 is
// [DefaultLocalSize]. What is used least goes first. Close ends its goroutine.
func NewLocal(size int64) (*Local, error) {
	if size <= 0 {
		size = DefaultLocalSize
	}
	cache, err := otter.New(&otter.Options[string, localValue]{
		MaximumWeight: uint64(size),
		Weigher: func(key string, v localValue) uint32 {
			return uint32(min(len(key)+len(v.blob)+overhead, math.MaxUint32))
		},
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, localValue]) time.Duration { return e.Value.ttl }),
	})
	if err != nil {
		return nil, fmt.Errorf("making the local cache: %w", err)
	}
	return &Local{cache: cache}, nil
}

// Get returns the value of key, or ErrMiss. It must not be changed.
func (l *Local) Get(_ context.Context, key string) ([]byte, error) {
	v, ok := l.cache.GetIfPresent(key)
	if !ok {
		return nil, ErrMiss
	}
	return v.blob, nil
}

// Set keeps value for the time of ttl, if it is wanted that long. The value
// must not be changed afterwards.
func (l *Local) Set(_ context.Context, key string, value []byte, ttl time.Duration) error {
	l.cache.Set(key, localValue{blob: value, ttl: ttl})
	return nil
}

// Flush removes all keys that begin with "namespace:" and tells how many.
func (l *Local) Flush(_ context.Context, namespace string) (int64, error) {
	var n int64
	for key := range l.cache.Keys() {
		if strings.HasPrefix(key, namespace+":") {
			l.cache.Invalidate(key)
			n++
		}
	}
	return n, nil
}

// Size is the number of bytes held.
func (l *Local) Size() int64 {
	l.cache.CleanUp()
	return int64(min(l.cache.WeightedSize(), math.MaxInt64))
}

// Close ends the cache's goroutine.
func (l *Local) Close() { l.cache.StopAllGoroutines() }
