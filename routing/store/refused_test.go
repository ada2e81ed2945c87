package store_test

import (
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// command runs one command.
func command(t *testing.T, c *redis.Client, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func newClient(t *testing.T, server *storetest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// state is what the server counts of the test's window, and how many of its slots are held.
func state(t *testing.T, c *redis.Client) (used, held int64) {
	t.Helper()
	used, err := c.HGet(t.Context(), ownKeys+"d/a/rpm", "sum").Int64()
	if err != nil {
		t.Fatal(err)
	}
	return used, c.ZCard(t.Context(), ownKeys+"d/a/slots").Val()
}

func TestAFullRedisTakesSlotsBack(t *testing.T) {
	server := storetest.Start(t)
	r, c := newRedis(t, store.Server{URL: "redis://" + server.Addr}), newClient(t, server)
	second := acquire(t, r, "one").Second
	acquire(t, r, "two")
	command(t, c, "CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	err := r.Settle(t.Context(), []store.Settlement{
		{ID: "one", Slots: []string{"d/a/slots"}, Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 4}}},
		{ID: "two", Corrections: []store.Correction{{Key: "d/a/rpm", Second: second, Delta: 5}}},
	})
	if used, held := state(t, c); err != nil || used != 2+4+5 || held != 1 {
		t.Errorf("%v; Redis counts %d, and %d slots held; want 11, and that of the second", err, used, held)
	}
}

// A correction of a slice that holds nothing changes nothing. Before, it removed the
// slices that had left the window without taking them out of the sum.
func TestACorrectionOfNothingLeavesTheSumRight(t *testing.T) {
	server := storetest.Start(t)
	r, c := newRedis(t, store.Server{URL: "redis://" + server.Addr}), newClient(t, server)
	now := c.Time(t.Context()).Val().Unix()
	at := now - 30
	err := c.HSet(t.Context(), ownKeys+"d/a/rpm", "at", at, "last", at, "sum", 7+2,
		strconv.FormatInt((at-60)%64, 10), 7, strconv.FormatInt(at%64, 10), 2).Err()
	if err != nil {
		t.Fatal(err)
	}
	err = r.Settle(t.Context(), []store.Settlement{{Corrections: []store.Correction{{Key: "d/a/rpm", Second: now - 1, Delta: -3}}}})
	if n := used(t, r); err != nil || n != 2 {
		t.Errorf("%v; %d are used, want the 2 within the last minute", err, n)
	}
}
