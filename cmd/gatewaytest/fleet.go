package gatewaytest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// Fleet is several gateways, each with an Envoy of its own, and the Redis that
// they share.
type Fleet struct {
	T        *testing.T
	Server   *storetest.Server
	Redis    *redis.Client
	Replicas []*Gateway
}

// StartFleet runs n gateways on a config that says $REDIS where the address of
// the Redis belongs.
func StartFleet(t *testing.T, n int, config string) *Fleet {
	t.Helper()
	f := &Fleet{T: t, Server: storetest.Start(t)}
	f.Redis = NewRedisClient(t, f.Server.Addr)
	for range n {
		f.Replicas = append(f.Replicas, Start(t, strings.ReplaceAll(config, "$REDIS", f.Server.Addr)))
	}
	return f
}

// NewRedisClient is a client of the Redis at HOST:PORT until the test ends.
func NewRedisClient(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Burst is [Burst] at all replicas.
func (f *Fleet) Burst(n int, body string) []*Answer { return Burst(f.Replicas, n, body) }

// Burst sends n chat requests at once, by turns to each gateway, and returns the
// answers.
func Burst(replicas []*Gateway, n int, body string) []*Answer {
	answers := make([]*Answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = replicas[i%len(replicas)].Post("/v1/chat/completions", body) })
	}
	wg.Wait()
	return answers
}

// Statuses counts answers by status.
func Statuses(answers []*Answer) map[int]int {
	count := map[int]int{}
	for _, a := range answers {
		count[a.Status]++
	}
	return count
}

// Leases are the slots that Redis holds, by key: how many requests hold each by a
// lease that is not over. An ended lease stays in Redis until the next request asks
// for the slot, as the slots of one replica do not all end at the same moment.
func (f *Fleet) Leases() map[string]int64 {
	f.T.Helper()
	held := map[string]int64{}
	keys, err := f.Redis.Keys(f.T.Context(), "isthmus:{limits}:*/slots").Result()
	if err != nil {
		f.T.Fatal(err)
	}
	now, err := f.Redis.Time(f.T.Context()).Result()
	if err != nil {
		f.T.Fatal(err)
	}
	for _, key := range keys {
		if n := f.Redis.ZCount(f.T.Context(), key, fmt.Sprintf("(%d", now.UnixMilli()), "+inf").Val(); n > 0 {
			held[key] = n
		}
	}
	return held
}

// Charged is what Redis counts of tokens of a group with one deployment, which has
// a limit for one kind of them.
func (f *Fleet) Charged(group string) int64 {
	f.T.Helper()
	keys, err := f.Redis.Keys(f.T.Context(), "isthmus:{limits}:*:d/"+group+"-*/*tpm").Result()
	if err != nil || len(keys) > 1 {
		f.T.Fatal(keys, err)
	}
	if len(keys) == 0 {
		return 0
	}
	n, err := f.Redis.HGet(f.T.Context(), keys[0], "sum").Int64()
	if err != nil {
		f.T.Fatal(err)
	}
	return n
}

// ExactByRedis are members of general_settings for figures that must be exact: a Redis that gets no time to run
// on a small machine is not gone.
const ExactByRedis = "redis_url: \"redis://$REDIS\", redis_timeout: 4"
