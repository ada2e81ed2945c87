package load

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// freezeTime is how long Redis stands still; ISTHMUS_FREEZE=10s makes it longer.
func freezeTime(t *testing.T) time.Duration {
	text := os.Getenv("ISTHMUS_FREEZE")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSoakAFrozenRedisCostsNoRequestAndLittleTime(t *testing.T) {
	testring.Soak(t, "judges how late answers come")
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	f := gatewaytest.StartFleet(t, 2, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", rpm: 1000000, max_parallel_requests: 1000")+
		"general_settings: {cache: true, cache_params: {type: redis, url: \"redis://$REDIS\"}}\n")
	before, slowest := loadFor(f, 2*time.Second)
	f.Server.Freeze(t)
	during, _ := loadFor(f, freezeTime(t))
	f.Server.Thaw(t)
	_, last := loadFor(f, 2*time.Second)
	// Where a request takes this long, Redis gets no time to run either: it may count
	// as gone at any moment, and the number of lines says nothing about the freeze.
	starving := max(slowest, last) > 80*time.Millisecond
	t.Logf("p99 %s before, %s while Redis is frozen, of %d and %d requests", quantile(before, 0.99), quantile(during, 0.99), len(before),
		len(during))
	// The promise is 50 ms on a machine of its own.
	if added := quantile(during, 0.99) - quantile(before, 0.99); added > 250*time.Millisecond {
		t.Errorf("a frozen Redis adds %s to the p99", added)
	}
	for i, s := range f.Replicas {
		var down, up int
		asynctest.Await(t, "Redis counts as back", func() bool {
			log := s.Stderr.String()
			down, up = strings.Count(log, "redis does not answer"), strings.Count(log, "redis answers again")
			return up > 0 && up == down
		})
		if !starving && down != 1 || down > 5 {
			t.Errorf("replica %d: %d lines say that Redis went, and as many that it returned", i, down)
		}
		s.Idle()
	}
	asynctest.Await(t, "no lease is left", func() bool { return len(f.Leases()) == 0 })
}

// loadFor sends requests to all replicas for a time, each another, and returns how
// long each took, without what the machine was late, and with it the slowest. All
// must succeed.
func loadFor(f *gatewaytest.Fleet, d time.Duration) (took []time.Duration, slowest time.Duration) {
	f.T.Helper()
	stalls := asynctest.WatchStalls(f.T)
	ctx, cancel := context.WithTimeout(f.T.Context(), d)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 4 {
		s := f.Replicas[i%len(f.Replicas)]
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				clock := stalls.Clock()
				got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, "hi", fmt.Sprint(i, n, time.Now().UnixNano()), 1))
				all, late := clock()
				if got.Status != 200 {
					f.T.Errorf("%d %s", got.Status, got.Body)
				}
				mu.Lock()
				took, slowest = append(took, max(all-late, 0)), max(slowest, all)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return took, slowest
}

func quantile(of []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[int(q*float64(len(sorted)-1))].Round(100 * time.Microsecond)
}

// Requests end in every way there is: well, with an error, late, left by their
// client, refused. Whatever the mix, nothing stays held, and the minute counts what
// the provider was asked, but for the attempts that look as if it was not: a connection
// that broke before the answer began, and one whose timeout came so early, in an Envoy
// that gets too little of the processor, that it is taken for such a break (early in
// extproc/attempts.go). The metrics count all of these. A client that leaves just before
// its request goes out is counted, though the provider was not asked.
func TestAfterAnyMixOfEndingsNothingIsHeld(t *testing.T) {
	t.Parallel()
	dice := &storm{dice: rand.New(rand.NewPCG(5, 6))}
	var calm atomic.Bool
	var broken, hung atomic.Int64
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		roll := dice.roll(6)
		switch {
		case calm.Load() || roll > 4:
			gatewaytest.OpenAI(w, r, body)
		case roll == 4:
			broken.Add(1)
			panic(http.ErrAbortHandler)
		case roll == 3:
			_, _ = io.WriteString(w, gatewaytest.FirstPiece)
			gatewaytest.Flush(w)
			panic(http.ErrAbortHandler)
		case roll == 0:
			hung.Add(1)
			gatewaytest.Hang(w, r, body)
		default:
			[]func(http.ResponseWriter, *http.Request, string){gatewaytest.FailWith(429, "Retry-After", "1"),
				gatewaytest.FailWith(500)}[roll-1](w, r, body)
		}
	})
	f := gatewaytest.StartFleet(t, 2, "model_list:\n"+
		gatewaytest.Entry("m", p.Base(), ", rpm: 100000, tpm: 100000000, max_parallel_requests: 6, timeout: 0.3")+
		gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), ", rpm: 5000, max_parallel_requests: 3, timeout: 0.3")+
		"router_settings: {num_retries: 2, cooldown_time: 0}\n"+"general_settings: {"+gatewaytest.ExactByRedis+
		", max_parallel_requests: 8, enable_request_queue: true, queue_max_size: 4, queue_timeout: 1, "+
		"tenant_limits: {max_parallel_requests: 7, rpm: 100000}, retry_budget_min_per_second: 1000}\n")
	count, began := newTally(t), time.Now()
	var wg sync.WaitGroup
	for i := range 16 {
		roll := rand.New(rand.NewPCG(uint64(i), 7))
		wg.Go(func() {
			for range 40 {
				chaoticClient(f.Replicas[i%2], count, roll, time.Minute)
			}
		})
	}
	wg.Wait()
	for _, s := range f.Replicas {
		s.Idle()
	}
	asynctest.Await(t, "no lease is left", func() bool { return len(f.Leases()) == 0 })
	calm.Store(true)
	var got *gatewaytest.Answer
	for range 20 { // half of the first attempts go to who refuses
		if got = f.Replicas[0].Post("/v1/chat/completions", gatewaytest.Ask); got.Status == 200 {
			break
		}
	}
	remaining, err := strconv.Atoi(got.Header.Get("X-Ratelimit-Remaining-Requests"))
	if err != nil {
		t.Fatalf("%d %v", got.Status, got.Header)
	}
	served := got.Header.Get("X-Isthmus-Deployment")
	used, before := 100000-remaining-1, len(p.Calls())-1 // without the last
	unanswered := 0
	for _, s := range f.Replicas {
		unanswered += int(s.Metric(fmt.Sprintf(
			`isthmus_attempts_total{deployment="%s",kind="transport",model_group="m",outcome="no_answer",provider="openai",status="0"}`, served)))
	}
	t.Logf("answers %v, %d clients left; the provider was asked %d times, broke the connection %d times and hung %d times; %d got no answer, "+
		"%d are counted", count.status, count.left, before, broken.Load(), hung.Load(), unanswered, used)
	least := before - unanswered
	if time.Since(began) > 50*time.Second {
		least = 0 // the machine is slow: what came first has left the minute
	}
	if used < least || used > before-unanswered+count.left {
		t.Errorf("the minute counts %d requests, the provider was asked %d times, %d of them without an answer, and %d clients left", used,
			before, unanswered, count.left)
	}
	if most := broken.Load() + hung.Load(); int64(unanswered) > most {
		t.Errorf("%d attempts got no answer, of %d that broke or hung", unanswered, most)
	}
}
