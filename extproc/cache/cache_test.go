package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shelf is a store for tests: a map, with faults on demand.
type shelf struct {
	mu      sync.Mutex
	values  map[string][]byte
	ttls    map[string]time.Duration
	frozen  atomic.Bool // every call hangs until its context ends
	broken  atomic.Bool // every call fails
	gets    atomic.Int64
	panicky bool
	miss    error
}

func newShelf() *shelf {
	return &shelf{values: map[string][]byte{}, ttls: map[string]time.Duration{}, miss: cache.ErrMiss}
}

func (s *shelf) fault(ctx context.Context) error {
	if s.frozen.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	if s.broken.Load() {
		return errors.New("connection refused")
	}
	return nil
}

func (s *shelf) Get(ctx context.Context, key string) ([]byte, error) {
	s.gets.Add(1)
	if s.panicky {
		panic("a bug")
	}
	if err := s.fault(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := s.values[key]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("reading: %w", s.miss)
}

func (s *shelf) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := s.fault(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key], s.ttls[key] = value, ttl
	return nil
}

func (s *shelf) Flush(_ context.Context, namespace string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.values)
	for key := range s.values {
		if strings.HasPrefix(key, namespace+":") {
			delete(s.values, key)
		}
	}
	return int64(before - len(s.values)), nil
}

func (s *shelf) Ping(ctx context.Context) error { return s.fault(ctx) }

// setup is a cache on a shelf; it is closed when the test ends.
func setup(t testing.TB, cfg cache.Config) (*cache.Cache, *shelf) {
	s := newShelf()
	cfg.Blobs = s
	c := cache.New(cfg)
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c, s
}

func ask(c *cache.Cache, key cache.Key, controls cache.Controls) cache.Reply {
	return c.Ask(context.Background(), key, controls)
}

func plain(t testing.TB) cache.Key { return keyOf(t, `{"model":"m",`+hello+`}`) }

func TestTheSecondRequestIsAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{TTL: time.Hour})
		key := plain(t)
		first := ask(c, key, cache.Controls{})
		if first.Status != cache.Miss || first.Entry != nil || first.Ticket == nil {
			t.Fatalf("first = %+v", first)
		}
		first.Ticket.Done(sample())
		if second := ask(c, key, cache.Controls{}); second.Status != cache.Hit || string(second.Entry.JSON) != string(sample().JSON) {
			t.Fatalf("at once: %+v", second)
		}
		synctest.Wait()
		if third := ask(c, key, cache.Controls{}); third.Status != cache.Hit || third.Entry.Served != sample().Served {
			t.Fatalf("from the store: %+v", third)
		}
		if s.ttls[key.String()] != time.Hour {
			t.Errorf("ttl = %v", s.ttls)
		}
		if got := c.Stats(); got.Hits != 2 || got.Misses != 1 || got.Stores != 1 || got.StoredBytes == 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestControlsHold(t *testing.T) {
	stored := func(t *testing.T, first cache.Controls) (*cache.Cache, *shelf, cache.Key) {
		c, s := setup(t, cache.Config{})
		key := plain(t)
		r := ask(c, key, first)
		e := sample()
		e.Stored = time.Now()
		r.Ticket.Done(e)
		synctest.Wait()
		return c, s, key
	}
	for name, run := range map[string]func(t *testing.T){
		"no-cache looks nothing up and stores": func(t *testing.T) {
			c, s, key := stored(t, cache.Controls{})
			r := ask(c, key, cache.Controls{NoCache: true})
			if r.Status != cache.Bypass || r.Ticket.Recorder(asking(t, 1, ""), false) == nil {
				t.Errorf("reply = %+v", r)
			}
			next := sample()
			next.Result.ID = "new"
			r.Ticket.Done(next)
			synctest.Wait()
			if got := ask(c, key, cache.Controls{}); got.Entry == nil || got.Entry.Result.ID != "new" || len(s.values) != 1 {
				t.Errorf("the new answer was not stored: %+v", got)
			}
		},
		"no-store looks up and does not store": func(t *testing.T) {
			c, s, key := stored(t, cache.Controls{NoStore: true})
			if len(s.values) != 0 {
				t.Errorf("stored: %v", s.values)
			}
			r := ask(c, key, cache.Controls{NoStore: true})
			if r.Status != cache.Miss || r.Ticket.Recorder(asking(t, 1, ""), false) != nil {
				t.Errorf("reply = %+v", r)
			}
			c, _, key = stored(t, cache.Controls{})
			if r := ask(c, key, cache.Controls{NoStore: true}); r.Status != cache.Hit {
				t.Errorf("reply = %+v", r)
			}
		},
		"ttl is the entry's": func(t *testing.T) {
			_, s, key := stored(t, cache.Controls{TTL: 5 * time.Second})
			if s.ttls[key.String()] != 5*time.Second {
				t.Errorf("ttls = %v", s.ttls)
			}
		},
		"an entry above the age limit is a miss": func(t *testing.T) {
			c, _, key := stored(t, cache.Controls{})
			time.Sleep(10 * time.Second)
			if r := ask(c, key, cache.Controls{MaxAge: 10 * time.Second}); r.Status != cache.Hit {
				t.Errorf("10 s old: %+v", r)
			}
			if r := ask(c, key, cache.Controls{MaxAge: 9 * time.Second}); r.Status != cache.Miss {
				t.Errorf("too old: %+v", r)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, run) })
	}
}

func TestWhoUsesTheCache(t *testing.T) {
	on, _ := setup(t, cache.Config{})
	optIn, _ := setup(t, cache.Config{OptIn: true})
	chats, _ := cache.ReadCallTypes([]string{"completion"})
	some, _ := setup(t, cache.Config{CallTypes: chats})
	req, embeddings := asking(t, 1, ""), parse(t, chat.Embeddings, `{"model":"m","input":"x"}`)
	for name, c := range map[string]struct {
		cache    *cache.Cache
		req      *chat.Request
		controls cache.Controls
		want     bool
	}{
		"anybody, by default":                {on, req, cache.Controls{}, true},
		"not who wants neither":              {on, req, cache.Controls{NoCache: true, NoStore: true}, false},
		"who wants to store only":            {on, req, cache.Controls{NoCache: true}, true},
		"nobody, when off by default":        {optIn, req, cache.Controls{}, false},
		"who opts in, when off by default":   {optIn, req, cache.Controls{UseCache: true}, true},
		"not an endpoint that is not listed": {some, embeddings, cache.Controls{}, false},
	} {
		if got := c.cache.Uses(c.req, c.controls); got != c.want {
			t.Errorf("%s: uses = %v", name, got)
		}
	}
}

func TestADeadOrFrozenStoreCostsNoMoreThanTheLookupTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{LookupTimeout: 50 * time.Millisecond})
		s.frozen.Store(true)
		before := time.Now()
		r := ask(c, plain(t), cache.Controls{})
		if took := time.Since(before); r.Status != cache.Miss || took != 50*time.Millisecond {
			t.Errorf("frozen: %v after %v", r.Status, took)
		}
		r.Ticket.Done(sample())
		s.frozen.Store(false)
		s.broken.Store(true)
		if r := ask(c, keyOf(t, `{"model":"n",`+hello+`}`), cache.Controls{}); r.Status != cache.Miss {
			t.Errorf("broken: %v", r.Status)
		} else {
			r.Ticket.Done(sample())
		}
		time.Sleep(time.Minute)
		if got := c.Stats(); got.LookupErrors != 2 || got.StoreErrors != 2 || got.Stores != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestAStoreMayHaveAWordOfItsOwnForAMiss(t *testing.T) {
	s := newShelf()
	s.miss = errors.New("not here")
	for _, c := range []struct {
		miss   error
		errors int64
	}{{s.miss, 0}, {nil, 1}} {
		cached := cache.New(cache.Config{Blobs: s, Miss: c.miss})
		ask(cached, plain(t), cache.Controls{}).Ticket.Leave()
		if got := cached.Stats().LookupErrors; got != c.errors {
			t.Errorf("miss = %v: %d errors", c.miss, got)
		}
		_ = cached.Close(t.Context())
	}
}

func TestCorruptEntriesAreMisses(t *testing.T) {
	c, s := setup(t, cache.Config{})
	key := plain(t)
	s.values[key.String()] = []byte("rubbish")
	r := ask(c, key, cache.Controls{})
	if r.Status != cache.Miss || c.Stats().Corrupt != 1 {
		t.Errorf("reply = %+v, stats = %+v", r, c.Stats())
	}
	r.Ticket.Leave()
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{QueueLength: 2, StoreTimeout: time.Minute})
		s.frozen.Store(true)
		for i := range 20 {
			c.Store(keyOf(t, fmt.Sprintf(`{"model":"m%d",%s}`, i, hello)), sample(), cache.Controls{})
			synctest.Wait()
		}
		if got := c.Stats().Drops; got != 20-2-4 { // two wait, and four writers hang
			t.Errorf("drops = %d", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closing over a frozen store: %v", err)
		}
		c.Store(plain(t), sample(), cache.Controls{})
		if got := c.Stats().Drops; got != 20-2-4+1 {
			t.Errorf("a closed cache took an entry: drops = %d", got)
		}
	})
}

func TestTheQueueIsBoundedInBytesAndEntriesInSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{QueueBytes: 300, MaxEntry: 200})
		s.frozen.Store(true)
		big := sample()
		big.JSON = []byte(`"` + strings.Repeat("x", 300) + `"`)
		c.Store(plain(t), big, cache.Controls{})
		if c.Stats().Drops != 1 {
			t.Error("an entry above the limit was taken")
		}
		for i := range 3 { // of 135 bytes each
			c.Store(keyOf(t, fmt.Sprintf(`{"model":"m%d",%s}`, i, hello)), sample(), cache.Controls{})
		}
		if got := c.Stats().Drops; got != 2 {
			t.Errorf("drops = %d", got)
		}
		s.frozen.Store(false)
		time.Sleep(time.Minute) // the two give up, and make room
		c.Store(keyOf(t, `{"model":"late",`+hello+`}`), sample(), cache.Controls{})
		c.Store(keyOf(t, `{"model":"later",`+hello+`}`), sample(), cache.Controls{})
		if got := c.Stats().Drops; got != 2 {
			t.Errorf("written entries still take room: drops = %d", got)
		}
	})
}

func TestCloseWritesWhatWaits(t *testing.T) {
	c, s := setup(t, cache.Config{})
	for i := range 500 {
		c.Store(keyOf(t, fmt.Sprintf(`{"model":"m%d",%s}`, i, hello)), sample(), cache.Controls{})
	}
	if err := c.Close(t.Context()); err != nil || len(s.values) != 500 {
		t.Errorf("%d written, %v", len(s.values), err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestFlushEmptiesTheNamespaceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := setup(t, cache.Config{Namespace: "mine"})
		s.values["mine-not:1"], s.values["other:1"] = nil, nil
		req := asking(t, 1, "")
		c.Store(c.Key(req, cache.Scope{}), sample(), cache.Controls{})
		c.Store(c.Key(req, cache.Scope{Namespace: "below"}), sample(), cache.Controls{})
		synctest.Wait()
		if len(s.values) != 4 {
			t.Fatalf("values = %v", s.values)
		}
		if n, err := c.Flush(t.Context()); err != nil || n != 2 || len(s.values) != 2 {
			t.Errorf("%d, %v, values = %v", n, err, s.values)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		s.broken.Store(true)
		if err := c.Ping(t.Context()); err == nil {
			t.Error("a broken store answers a ping")
		}
	})
}

func TestAPanicInTheStoreLeavesNobodyWaiting(t *testing.T) {
	c, s := setup(t, cache.Config{})
	s.panicky = true
	key := plain(t)
	func() {
		defer func() { _ = recover() }()
		ask(c, key, cache.Controls{})
	}()
	s.panicky = false
	if r := ask(c, key, cache.Controls{}); r.Status != cache.Miss {
		t.Errorf("reply = %+v", r)
	} else {
		r.Ticket.Leave()
	}
}
