package cache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// ErrMiss says that nothing is stored under a key.
var ErrMiss = errors.New("cache: no such entry")

// Blobs is a store of bytes. Get returns Config.Miss (or an error that wraps it)
// for a key that is not there; both give up when ctx ends. Both are safe for
// concurrent use and keep or return values that must not be changed.
type Blobs interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Set(ctx context.Context, key string, value []byte, ttl time.Duration) error
}

// Flusher is a store that can be emptied of all keys that begin with
// "namespace:"; the namespace is plain text and no pattern. It tells how many
// keys there were.
type Flusher interface {
	Flush(ctx context.Context, namespace string) (int64, error)
}

// Pinger is a store that can be asked whether it is there.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Config says how a Cache works. Only Blobs must be given.
type Config struct {
	Blobs     Blobs
	Miss      error         // what Blobs says of a key that is not there; nil is ErrMiss
	Namespace string        // keys begin with it; "" is [DefaultNamespace]
	TTL       time.Duration // how long entries are kept; 0 is 10 minutes
	MaxEntry  int64         // the largest entry, in bytes; 0 is [DefaultMaxEntry]
	OptIn     bool          // mode default_off: only requests with use-cache
	CallTypes CallTypes     // the endpoints that are cached; zero: all that can be

	LookupTimeout time.Duration // what a lookup may cost a request; 0 is 100 ms
	StoreTimeout  time.Duration // one write, off the response path; 0 is 2 s
	QueueLength   int           // entries that wait to be written; 0 is 4096
	QueueBytes    int64         // the same in bytes; 0 is 64 MiB
	// MaxWait is how long a request waits for an identical one before it asks
	// by itself; 0 is 60 s. The request's own deadline ends the wait too.
	MaxWait time.Duration
	Now     func() time.Time // nil is time.Now
	Guard   *guard.Guard
}

// Cache is the response cache of a gateway. It is safe for concurrent use.
type Cache struct {
	cfg     Config
	keys    *Keyer
	flights flights
	queue   *queue
	stats   counters
}

// New returns a Cache; Close flushes it and ends its goroutines. It does not
// close the store.
func New(cfg Config) *Cache {
	orDuration := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	orDuration(&cfg.TTL, 10*time.Minute)
	orDuration(&cfg.LookupTimeout, 100*time.Millisecond)
	orDuration(&cfg.StoreTimeout, 2*time.Second)
	orDuration(&cfg.MaxWait, time.Minute)
	if cfg.MaxEntry <= 0 {
		cfg.MaxEntry = DefaultMaxEntry
	}
	if cfg.QueueLength <= 0 {
		cfg.QueueLength = 4096
	}
	if cfg.QueueBytes <= 0 {
		cfg.QueueBytes = 64 << 20
	}
	if cfg.Miss == nil {
		cfg.Miss = ErrMiss
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Cache{cfg: cfg, keys: NewKeyer(cfg.Namespace), flights: flights{calls: make(map[Key]*call)}}
	c.queue = newQueue(&c.cfg, &c.stats)
	return c
}

// Key returns the request's key in this cache.
func (c *Cache) Key(req *chat.Request, scope Scope) Key { return c.keys.Key(req, scope) }

// Uses reports whether the cache has anything to do with the request. When it
// has not, no key need be made, and the status is [Bypass].
func (c *Cache) Uses(req *chat.Request, controls Controls) bool {
	return !controls.Off() && (!c.cfg.OptIn || controls.UseCache) && c.cfg.CallTypes.Cacheable(req)
}

// Lookup returns the stored entry of key, or ErrMiss. It costs no more than the
// lookup timeout: a store that is slow, away or broken is a miss, and counted.
func (c *Cache) Lookup(ctx context.Context, key Key, controls Controls) (*Entry, error) {
	e, err := c.find(ctx, key, controls)
	if err != nil {
		c.stats.misses.Add(1)
		return nil, err
	}
	c.stats.hits.Add(1)
	return e, nil
}

func (c *Cache) find(ctx context.Context, key Key, controls Controls) (*Entry, error) {
	if e := c.queue.get(key); e != nil && c.fresh(e, controls) {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.LookupTimeout)
	defer cancel()
	blob, err := c.cfg.Blobs.Get(ctx, key.String())
	if err != nil {
		if !errors.Is(err, c.cfg.Miss) {
			c.stats.lookupErrors.Add(1)
		}
		return nil, ErrMiss
	}
	return c.decode(key, blob, controls)
}

// decode reads what the store had.
func (c *Cache) decode(key Key, blob []byte, controls Controls) (*Entry, error) {
	e, ok := Decode(key, blob)
	if !ok {
		c.stats.corrupt.Add(1)
		return nil, ErrMiss
	}
	if !c.fresh(e, controls) {
		return nil, ErrMiss
	}
	return e, nil
}

func (c *Cache) fresh(e *Entry, controls Controls) bool {
	return controls.MaxAge == 0 || e.Age(c.cfg.Now()) <= controls.MaxAge
}

// Store writes an entry, some time soon and never on the caller's time. When too
// many wait to be written, it is dropped and counted.
func (c *Cache) Store(key Key, e *Entry, controls Controls) {
	ttl := controls.TTL
	if ttl <= 0 {
		ttl = c.cfg.TTL
	}
	if int64(len(e.JSON)) > c.cfg.MaxEntry || !c.queue.put(job{key: key, entry: e, ttl: ttl}) {
		c.stats.drops.Add(1)
	}
}

// Now is the cache's clock.
func (c *Cache) Now() time.Time { return c.cfg.Now() }

// Ping asks whether the store is there. A store that cannot tell is.
func (c *Cache) Ping(ctx context.Context) error {
	p, ok := c.cfg.Blobs.(Pinger)
	if !ok {
		return nil
	}
	if err := p.Ping(ctx); err != nil {
		return fmt.Errorf("pinging the cache's store: %w", err)
	}
	return nil
}

// Flush removes every entry of the cache's namespace, those of requests'
// namespaces below it too, and tells how many there were. Entries that are being
// written meanwhile may stay.
func (c *Cache) Flush(ctx context.Context) (int64, error) {
	f, ok := c.cfg.Blobs.(Flusher)
	if !ok {
		return 0, errors.New("the cache's store cannot be emptied")
	}
	n, err := f.Flush(ctx, c.keys.namespace)
	if err != nil {
		return n, fmt.Errorf("flushing the cache: %w", err)
	}
	return n, nil
}

// Close writes the entries that wait, until ctx ends, and ends the cache's
// goroutines.
func (c *Cache) Close(ctx context.Context) error { return c.queue.close(ctx) }

// counters are what a Cache counts.
type counters struct {
	hits, misses, shared, bypasses      atomic.Int64
	lookupErrors, corrupt               atomic.Int64
	stores, storeErrors, drops, refused atomic.Int64
	storedBytes                         atomic.Int64
}

// Stats is what a Cache has done since it was made.
type Stats struct {
	Hits, Misses int64 // lookups; Hits without Shared
	Shared       int64 // answers taken from an identical request that ran
	Bypasses     int64 // requests that did not want to be looked up
	LookupErrors int64 // of Misses: the store was late or away
	Corrupt      int64 // of Misses: what was stored is no entry
	Stores       int64
	StoreErrors  int64
	Drops        int64 // entries not written: the queue was full, or they were too large
	Unstorable   int64 // answers that were no good for others
	StoredBytes  int64
	Waiting      int64 // requests that wait for an identical one now
	LocalBytes   int64 // held by a Local store now
}

// Stats returns the counters.
func (c *Cache) Stats() Stats {
	s := &c.stats
	out := Stats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), Shared: s.shared.Load(), Bypasses: s.bypasses.Load(),
		LookupErrors: s.lookupErrors.Load(), Corrupt: s.corrupt.Load(), Stores: s.stores.Load(), StoreErrors: s.storeErrors.Load(),
		Drops: s.drops.Load(), Unstorable: s.refused.Load(), StoredBytes: s.storedBytes.Load(), Waiting: int64(c.flights.waiters()),
	}
	if l, ok := c.cfg.Blobs.(*Local); ok {
		out.LocalBytes = l.Size()
	}
	return out
}
