package limit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// victimVariable makes this test binary a replica that is to be killed: it holds
// the Redis address.
const victimVariable = "ISTHMUS_TEST_VICTIM"

func TestMain(m *testing.M) {
	if addr := os.Getenv(victimVariable); addr != "" {
		victim(addr)
		return
	}
	goleak.VerifyTestMain(m)
}

// victimLease is the lease of the slots in the test with a victim.
const victimLease = 2 * time.Second

func victimLimits() limit.Options {
	return limit.Options{Deployments: deployments(limit.Budget{RPM: 1000, MaxParallel: 4}), MaxParallel: 5}
}

// victim takes all slots there are, renews them, and waits to be killed.
func victim(addr string) {
	r, err := store.NewRedis(store.RedisOptions{Server: store.Server{URL: "redis://" + addr}, Replica: "victim", Now: time.Now})
	if err != nil {
		panic(err)
	}
	o := victimLimits()
	o.Now, o.Store = time.Now, store.NewShared(store.SharedOptions{Redis: r, Lease: victimLease, Silence: 4 * time.Second,
		Budget: 5 * time.Second, Now: time.Now, Log: slog.Default()})
	l := limit.New(o)
	var held []string
	for i := range 5 {
		ask := &limit.Ask{ID: fmt.Sprint("victim-", i), Model: "m", Candidates: []string{"a", "z"}}
		a, err := l.Admit(context.Background(), ask)
		if err != nil {
			panic(err)
		}
		held = append(held, fmt.Sprint(a.Chosen()))
	}
	fmt.Println("holding", strings.Join(held, " "))
	time.Sleep(time.Minute)
}
