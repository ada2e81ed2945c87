package store_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// Where the values are that are read from Redis.
const (
	ownKeys    = "isthmus:{limits}:1:" // of this version
	sharedKeys = "isthmus:{limits}:"   // of all versions
)

// shortBlob stands for the longest blob, in bytes: how long it takes to read that is not
// what is tested.
const shortBlob = 1 << 10

// plant puts one foreign value into Redis.
type plant func(ctx context.Context, c *redis.Client) error

func text(key, value string) plant {
	return func(ctx context.Context, c *redis.Client) error { return c.Set(ctx, key, value, 0).Err() }
}

func list(key string) plant {
	return func(ctx context.Context, c *redis.Client) error { return c.RPush(ctx, key, "x").Err() }
}

func fields(key string, all ...any) plant {
	return func(ctx context.Context, c *redis.Client) error { return c.HSet(ctx, key, all...).Err() }
}

func member(key, name string, score float64) plant {
	return func(ctx context.Context, c *redis.Client) error {
		return c.ZAdd(ctx, key, redis.Z{Member: name, Score: score}).Err()
	}
}

// alive begins the entry of a replica that lives, for longer than any test.
func alive() string { return endsIn(9 * time.Minute) }

// endsIn is the moment in so long, as entries have it: in ms.
func endsIn(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }

// second is a second before now, as windows have it.
func second(ago int64) string { return strconv.FormatInt(time.Now().Unix()-ago, 10) }

// TestWhatAnotherVersionWroteIsSkippedAndCounted puts values that this version never
// writes where it reads each kind of value. Everything goes on as if they were not
// there: Redis does not count as away, limits are held, others' values are read.
func TestWhatAnotherVersionWroteIsSkippedAndCounted(t *testing.T) {
	server := storetest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	huge := strings.Repeat("9", 1<<20)
	window, slots := ownKeys+"d/a/rpm", ownKeys+"d/a/slots"
	replicas, addresses := sharedKeys+"replicas", sharedKeys+"addresses"
	for name, tc := range map[string]struct {
		plant plant
		kind  string // "": nothing is skipped
	}{
		"a window of another type":                {text(window, "7"), "window"},
		"a window with a text for its sum":        {fields(window, "at", second(0), "sum", "many", "last", "1"), "window"},
		"a window with an infinite sum":           {fields(window, "at", second(0), "sum", "inf", "last", "1"), "window"},
		"a window with a huge sum":                {fields(window, "at", second(0), "sum", huge, "last", "1"), "window"},
		"a window with a negative sum":            {fields(window, "at", second(0), "sum", "-1000", "last", "1"), "window"},
		"a window without a time":                 {fields(window, "at", "", "sum", "5", "last", "1"), "window"},
		"a window in a format to come":            {fields(window, "v", "2", "buckets", `{"a":1}`), "window"},
		"slices that are no numbers":              {fields(window, "at", second(9), "sum", "0", "last", "1", "7", "x", "33", huge), ""},
		"slots of another type":                   {fields(slots, "a", "b"), "slot"},
		"a lease that never ends":                 {member(slots, "x", 1e300), "slot"},
		"a replica's load in another format":      {fields(replicas, "1/other", alive()+" v2:a=1;b=2"), "replica"},
		"a replica's load that is empty":          {fields(replicas, "1/other", alive()+" "), "replica"},
		"a replica's load that is huge":           {fields(replicas, "1/other", alive()+` {"a":`+huge+`}`), "replica"},
		"a replica's load that cannot be true":    {fields(replicas, "1/other", alive()+` {"a":-5}`), "replica"},
		"a replica in a format to come":           {fields(replicas, "1/other", `{"until":1}`), "replica"},
		"a replica that is empty":                 {fields(replicas, "1/other", ""), "replica"},
		"a replica that lives for ever":           {fields(replicas, "1/other", huge+" {}"), "replica"},
		"the replicas of another type":            {text(replicas, "x"), "replica"},
		"an epoch of another type":                {list(ownKeys + "epoch"), "epoch"},
		"an epoch that is empty":                  {text(ownKeys+"epoch", ""), "epoch"},
		"an epoch that is huge":                   {text(ownKeys+"epoch", huge), "epoch"},
		"a cooldown in another format":            {fields(ownKeys+"cooldowns", "b", `{"until":"soon"}`), "cooldown"},
		"a cooldown that is empty":                {fields(ownKeys+"cooldowns", "b", ""), "cooldown"},
		"a cooldown that never ends":              {fields(ownKeys+"cooldowns", "b", huge+" 500"), "cooldown"},
		"a cooldown with a huge cause":            {fields(ownKeys+"cooldowns", "b", endsIn(time.Hour)+" "+huge), "cooldown"},
		"the cooldowns of another type":           {text(ownKeys+"cooldowns", "x"), "cooldown"},
		"an address in a format to come":          {fields(addresses, "10.0.0.2:9100", "v2"), "address"},
		"an address that is none":                 {fields(addresses, "somewhere", endsIn(9*time.Minute)), "address"},
		"an address that is huge":                 {fields(addresses, huge+":9100", endsIn(9*time.Minute)), "address"},
		"an address that lives for ever":          {fields(addresses, "10.0.0.2:9100", huge), "address"},
		"the addresses of another type":           {list(addresses), "address"},
		"a stored answer of another type":         {list("cache:k"), "blob"},
		"a stored answer that is empty":           {text("cache:k", ""), ""},
		"a stored answer that is longer than any": {text("cache:k", strings.Repeat("x", shortBlob+1)), "blob"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := errors.Join(c.FlushAll(t.Context()).Err(), tc.plant(t.Context(), c)); err != nil {
				t.Fatal(err)
			}
			log := &asynctest.Text{}
			logger := slog.New(slog.NewTextHandler(log, nil))
			o := store.RedisOptions{Server: store.Server{URL: "redis://" + server.Addr}, Replica: "own", Log: logger, Now: time.Now}
			r, err := store.NewRedis(o)
			if err != nil {
				t.Fatal(err)
			}
			r.LimitBlobs(shortBlob)
			s := store.NewShared(store.SharedOptions{Redis: r, Silence: longSilence, Now: time.Now, Log: logger})
			defer func() { _ = s.Close() }()
			goesOn(t, s, r)
			skips := s.Skipped()
			for kind, n := range skips {
				if n > 0 != (kind == tc.kind) {
					t.Errorf("%d values of the kind %q were skipped, want only those of the kind %q", n, kind, tc.kind)
				}
			}
			if lines := len(log.Lines()); lines != min(len(tc.kind), 1) {
				t.Errorf("the log has %d lines: %s", lines, log)
			}
		})
	}
}

// goesOn does all that asks Redis, and several times what would make it count as away.
func goesOn(t *testing.T, s *store.Shared, r *store.Redis) {
	t.Helper()
	ctx := t.Context()
	try := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for range 4 {
		_, err := r.Beat(ctx, store.Beat{Load: map[string]int64{"a": 1}, Watch: []string{"d/a/rpm"}, Slots: []string{"d/a/slots"}})
		try("a beat", err)
		if _, err := s.Beat(ctx, store.Beat{Watch: []string{"d/a/rpm"}, Slots: []string{"d/a/slots"}}); err != nil || s.Away() {
			t.Errorf("a beat of the shared store: %v; away: %v", err, s.Away())
		}
		_, err = s.Cooldowns(ctx)
		try("the list of cooldowns", err)
		all, err := s.RegisterReplica(ctx, "10.0.0.1:9100")
		try("the list of addresses", err)
		if len(all) != 1 || all[0] != "10.0.0.1:9100" {
			t.Errorf("%d addresses are known, want the own", len(all))
		}
		if _, err := s.Get(ctx, "cache:k"); !errors.Is(err, store.ErrMiss) {
			t.Errorf("the stored answer: %v, want a miss", err)
		}
	}
	q := request("one")
	q.Candidates[0].Windows[0].Limit, q.Candidates[0].Slots[0].Limit = 2, 1
	reply, err := s.Acquire(ctx, q)
	if err != nil || reply.Chosen != 0 || len(reply.Usage) != 1 || reply.Usage[0].Used != 1 {
		t.Errorf("the first request: %+v, %v; want it admitted", reply, err)
	}
	again := request("two")
	again.Candidates[0].Windows[0].Limit, again.Candidates[0].Slots[0].Limit = 2, 1
	if reply, err := s.Acquire(ctx, again); err != nil || reply.Chosen != -1 || len(reply.Lacks) != 1 {
		t.Errorf("a second request, which has no slot: %+v, %v", reply, err)
	}
	try("a settlement", r.Settle(ctx, []store.Settlement{{ID: "one", Slots: []string{"d/a/slots"},
		Corrections: []store.Correction{{Key: "d/a/rpm", Second: reply.Second, Delta: 1}}}}))
	peers, err := r.Beat(ctx, store.Beat{Watch: []string{"d/a/rpm"}, Slots: []string{"d/a/slots"}})
	if err != nil || peers.Used[0] != 2 || peers.Held[0] != 0 {
		t.Errorf("after the settlement: %+v, %v; want 2 used and no slot held", peers, err)
	}
	try("a cooldown", s.PutCooldown(ctx, store.Cooldown{Deployment: "mine", Until: time.Now().Add(time.Minute), Cause: "500"}))
	cooling, err := s.Cooldowns(ctx)
	if err != nil || len(cooling) != 1 || cooling[0].Deployment != "mine" || cooling[0].Cause != "500" {
		t.Errorf("the cooldowns: %+v, %v; want the own", cooling, err)
	}
	try("the end of a cooldown", s.DropCooldown(ctx, "mine"))
	try("a stored answer", s.Set(ctx, "cache:k", []byte("answer"), time.Minute))
	if got, err := s.Get(ctx, "cache:k"); err != nil || string(got) != "answer" {
		t.Errorf("the stored answer: %q, %v", got, err)
	}
	if s.Away() {
		t.Error("Redis counts as away")
	}
}

// A replica whose load cannot be read lives all the same: who keeps its share of a limit
// while Redis is away must count it.
func TestAReplicaWhoseLoadCannotBeReadCountsAsOne(t *testing.T) {
	server := storetest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	err := c.HSet(t.Context(), sharedKeys+"replicas",
		"1/readable", alive()+` {"a":2}`, "1/other", alive()+" v2:a=1", "2/newer", alive()+` {"a":3}`).Err()
	if err != nil {
		t.Fatal(err)
	}
	peers, err := newRedis(t, store.Server{URL: "redis://" + server.Addr}).Beat(t.Context(), store.Beat{})
	if err != nil || peers.Replicas != 4 || peers.Foreign != 1 || peers.Load["a"] != 5 {
		t.Errorf("%+v, %v; want 4 replicas, one of them foreign, and 5 attempts on a", peers, err)
	}
}

// TestVersionsThatCountApartShareTheLimits has one replica of this version and two of
// one that keeps its limits in another format over one Redis.
func TestVersionsThatCountApartShareTheLimits(t *testing.T) {
	server := storetest.Start(t)
	var all []*store.Shared
	for i, format := range []int{1, 2, 2} {
		o := store.RedisOptions{Server: store.Server{URL: "redis://" + server.Addr}, Replica: strconv.Itoa(i), Now: time.Now}
		r, err := store.NewRedisOfVersion(o, format)
		if err != nil {
			t.Fatal(err)
		}
		s := store.NewShared(store.SharedOptions{Redis: r, Silence: longSilence, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		t.Cleanup(func() { _ = s.Close() })
		all = append(all, s)
	}
	granted := make([]int, len(all))
	for round := range 40 {
		for i, s := range all {
			if _, err := s.Beat(t.Context(), store.Beat{}); err != nil { // they live, however slow this is
				t.Fatal(err)
			}
			q := request(strconv.Itoa(100*i + round))
			q.Candidates[0] = store.Demand{Windows: []store.Window{{Key: "d/a/rpm", Limit: 30, Cost: 1}}}
			if reply, err := s.Acquire(t.Context(), q); err != nil {
				t.Fatal(err)
			} else if reply.Chosen == 0 {
				granted[i]++
			}
		}
	}
	if granted[0] != 10 || granted[1]+granted[2] != 20 {
		t.Errorf("of 30 a minute the one replica granted %d, and the two granted %d and %d; want 10, and 20 together",
			granted[0], granted[1], granted[2])
	}
}
