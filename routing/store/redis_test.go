package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

func request(id string) *store.Request {
	return &store.Request{
		ID: id, Lease: time.Minute,
		Candidates: []store.Demand{{Windows: []store.Window{{Key: "d/a/rpm", Limit: 10, Cost: 1}},
			Slots: []store.Slot{{Key: "d/a/slots", Limit: 10}}}},
	}
}

func used(t *testing.T, r *store.Redis) int64 {
	t.Helper()
	peers, err := r.Beat(t.Context(), store.Beat{Watch: []string{"d/a/rpm"}})
	if err != nil {
		t.Fatal(err)
	}
	return peers.Used[0]
}

func acquire(t *testing.T, r *store.Redis, id string) store.Reply {
	t.Helper()
	reply, err := r.Acquire(t.Context(), request(id))
	if err != nil || reply.Chosen != 0 {
		t.Fatal(reply, err)
	}
	return reply
}

func TestEveryKeyOfLimitsIsTaggedAndExpires(t *testing.T) {
	server := storetest.Start(t)
	r := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	acquire(t, r, "1")
	used(t, r)
	if err := r.PutCooldown(t.Context(), store.Cooldown{Deployment: "a", Until: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 5 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "isthmus:{limits}:") {
			t.Errorf("key %s", key)
		}
		if ttl := c.TTL(t.Context(), key).Val(); ttl <= 0 || ttl > 130*time.Second {
			t.Errorf("key %s expires in %v", key, ttl)
		}
	}
}

// Nobody can wait for a minute to pass: the window is written as the script would
// have left it some time ago.
func TestAWindowThatWasLeftAloneForgetsWhatIsOld(t *testing.T) {
	server := storetest.Start(t)
	r := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	const key = "isthmus:{limits}:1:d/a/rpm"
	for _, ago := range []int64{0, 1, 3, 4, 5, 30, 59, 60, 61, 62, 64, 1000, -1, -61} {
		now := c.Time(t.Context()).Val().Unix()
		at := now - ago
		fields := map[string]any{"at": at, "last": at, "sum": 61 * 62 / 2}
		want := int64(0)
		for n := range int64(61) { // the slice at-60 has 1 charge, the next 2, …
			second := at - 60 + n
			fields[fmt.Sprint(second%64)] = n + 1
			if second >= now-60 && ago >= -60 {
				want += n + 1
			}
		}
		if err := errors.Join(c.Del(t.Context(), key).Err(), c.HSet(t.Context(), key, fields).Err()); err != nil {
			t.Fatal(err)
		}
		got := used(t, r)
		q := request("x")
		var refused store.Reply
		if want > 0 { // all slices must leave
			q.Candidates[0] = store.Demand{Windows: []store.Window{{Key: "d/a/rpm", Limit: 1, Cost: 1}}}
			var err error
			if refused, err = r.Acquire(t.Context(), q); err != nil || refused.Chosen >= 0 {
				t.Fatal(refused, err)
			}
		}
		q.Candidates[0].Windows[0] = store.Window{Key: "d/a/rpm", Limit: 1 << 30, Cost: 5}
		charged, err := r.Acquire(t.Context(), q)
		if err != nil || charged.Chosen != 0 {
			t.Fatal(charged, err)
		}
		if charged.Second != now {
			continue // the second turned under us
		}
		if got != want {
			t.Errorf("left alone for %d s: %d used, want %d", ago, got, want)
		}
		if until := time.Duration(at+61-now) * time.Second; want > 0 && ago >= 0 && (refused.Wait > until || refused.Wait < until-time.Second) {
			t.Errorf("left alone for %d s: the wait is %v, want up to %v", ago, refused.Wait, until)
		}
		if sum := sumOfSlices(t, c, key); sum != want+5 {
			t.Errorf("left alone for %d s: the slices hold %d after a charge, want %d", ago, sum, want+5)
		}
	}
}

func sumOfSlices(t *testing.T, c *redis.Client, key string) (sum int64) {
	t.Helper()
	for field, text := range c.HGetAll(t.Context(), key).Val() {
		if field == "at" || field == "sum" || field == "last" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func TestForgottenScriptsAreSentAgain(t *testing.T) {
	server := storetest.Start(t)
	r := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	acquire(t, r, "1")
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	if err := c.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	reply := acquire(t, r, "2")
	if err := c.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	err := r.Settle(t.Context(), []store.Settlement{{Corrections: []store.Correction{{Key: "d/a/rpm", Second: reply.Second, Delta: -1}}}})
	if err != nil || used(t, r) != 1 {
		t.Error(err, used(t, r))
	}
}

func TestAFrozenServerDoesNotChargeWhatWasGivenUp(t *testing.T) {
	server := storetest.Start(t)
	r := newRedis(t, store.Server{URL: "redis://" + server.Addr})
	acquire(t, r, "1")
	used(t, r) // a quick call, which teaches the clock
	server.Freeze(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if reply, err := r.Acquire(ctx, request("2")); err == nil {
		t.Fatal(reply)
	}
	server.Thaw(t)
	if n := used(t, r); n != 1 {
		t.Errorf("%d are charged, want the one that was answered", n)
	}
}

func TestReplicasLiveAsLongAsTheyBeat(t *testing.T) {
	t.Parallel()
	server := storetest.Start(t)
	beat := func(name string, load map[string]int64) store.Peers {
		t.Helper()
		r, err := store.NewRedis(store.RedisOptions{Server: store.Server{URL: "redis://" + server.Addr}, Replica: name, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		peers, err := r.Beat(t.Context(), store.Beat{Load: load})
		if err != nil {
			t.Fatal(err)
		}
		return peers
	}
	began := time.Now()
	beat("one", map[string]int64{"a": 2, "b": 1})
	beat("two", map[string]int64{"a": 3})
	peers := beat("three", nil)
	want := store.Peers{Replicas: 3, Load: map[string]int64{"a": 5, "b": 1}, Used: []int64{}, Held: []int64{}, Epoch: peers.Epoch}
	if diff := cmp.Diff(want, peers); diff != "" {
		t.Errorf("peers (-want +got):\n%s", diff)
	}
	for beat("three", nil).Replicas != 1 {
		if time.Since(began) > 2*time.Minute {
			t.Fatal("the dead replicas are never forgotten")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if took := time.Since(began); took < 4500*time.Millisecond {
		t.Errorf("they were forgotten after %v", took)
	}
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]store.Server{
		"one server": {URL: "redis://" + storetest.Start(t).Addr},
		"a cluster":  {ClusterNodes: storetest.Addrs(storetest.StartCluster(t))},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRedis(t, server)
			ctx := t.Context()
			set := func(key string, ttl time.Duration) {
				t.Helper()
				if err := r.Set(ctx, key, []byte("value of "+key), ttl); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 1200 {
				set(fmt.Sprint("ns*:", i), time.Minute)
			}
			set("ns*x:1", time.Minute)
			set("nsy:1", time.Minute)
			set("short", 50*time.Millisecond)
			if v, err := r.Get(ctx, "ns*:7"); err != nil || string(v) != "value of ns*:7" {
				t.Errorf("%s, %v", v, err)
			}
			if err := r.Set(ctx, "x", nil, 0); err == nil {
				t.Error("a blob was kept for ever")
			}
			if n, err := r.Flush(ctx, "ns*"); n != 1200 || err != nil {
				t.Errorf("%d were deleted, %v", n, err)
			}
			if _, err := r.Flush(ctx, ""); err == nil {
				t.Error("everything was flushed")
			}
			for key, want := range map[string]error{"ns*:7": store.ErrMiss, "never": store.ErrMiss, "ns*x:1": nil, "nsy:1": nil} {
				if _, err := r.Get(ctx, key); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", key, err, want)
				}
			}
			for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
				if _, err := r.Get(ctx, "short"); errors.Is(err, store.ErrMiss) {
					break
				}
				if time.Since(began) > 2*time.Minute {
					t.Fatal("a blob outlives its time")
				}
			}
		})
	}
}

func TestSharedWithoutRedisKeepsLimitsAndNoBlobs(t *testing.T) {
	s := store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if reply, err := s.Acquire(t.Context(), request("1")); err != nil || reply.Chosen != 0 {
		t.Error(reply, err)
	}
	if _, err := s.Get(t.Context(), "x"); !errors.Is(err, store.ErrAway) {
		t.Error(err)
	}
	if s.Away() {
		t.Error("a Redis that was never configured is away")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestServerAddresses(t *testing.T) {
	server := storetest.Start(t)
	host, port, _ := strings.Cut(server.Addr, ":")
	var number int
	fmt.Sscan(port, &number)
	sentinel := storetest.StartSentinel(t, server)
	for name, s := range map[string]store.Server{
		"sentinels":           {SentinelNodes: []string{sentinel.Addr}},
		"a URL of sentinels":  {URL: "redis://" + sentinel.Addr + "?master_name=mymaster"},
		"host and port":       {Host: host, Port: number},
		"a URL":               {URL: "redis://" + server.Addr + "/3"},
		"a URL before a host": {URL: "redis://" + server.Addr, Host: "nowhere.invalid"},
		"another database":    {Host: host, Port: number, DB: 2},
	} {
		if err := newRedis(t, s).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]store.Server{
		"nothing":     {},
		"no URL":      {URL: "redis://user:hunter2@host:port:7/%zz"},
		"no scheme":   {URL: "http://user:hunter2@host"},
		"no database": {URL: "redis://user:hunter2@host/many"},
	} {
		_, err := store.NewRedis(store.RedisOptions{Server: s, Now: time.Now})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAWrongPasswordIsToldWithoutThePassword(t *testing.T) {
	server := storetest.Start(t)
	c := redis.NewClient(&redis.Options{Addr: server.Addr, DisableIdentity: true})
	defer c.Close()
	if err := c.ConfigSet(t.Context(), "requirepass", "right").Err(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []store.Server{{URL: "redis://:right@" + server.Addr}, {URL: "redis://" + server.Addr, Password: secret.New("right")}} {
		if err := newRedis(t, s).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := newRedis(t, store.Server{URL: "redis://:hunter2@" + server.Addr}).Ping(t.Context())
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}
