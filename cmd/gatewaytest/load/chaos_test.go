package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// chaosTime is how long the storm lasts; ISTHMUS_CHAOS=1m makes it longer.
func chaosTime(t *testing.T) time.Duration {
	text := os.Getenv("ISTHMUS_CHAOS")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// storm answers well at times, and at others in one of the ways providers fail.
type storm struct {
	mu     sync.Mutex
	dice   *rand.Rand
	broken atomic.Bool
}

func (s *storm) roll(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dice.IntN(n)
}

func (s *storm) answer(w http.ResponseWriter, r *http.Request, body string) {
	if !s.broken.Load() {
		gatewaytest.OpenAI(w, r, body)
		return
	}
	switch s.roll(7) {
	case 0:
		gatewaytest.Hang(w, r, body)
	case 1:
		panic(http.ErrAbortHandler)
	case 2:
		gatewaytest.FailWith(429, "Retry-After", "1")(w, r, body)
	case 3:
		gatewaytest.FailWith(500)(w, r, body)
	case 4: // cut in the middle of the headers
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\ncontent-ty"))
			_ = conn.Close()
		}
	case 5: // a cut stream
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		gatewaytest.Flush(w)
		panic(http.ErrAbortHandler)
	case 6:
		gatewaytest.OpenAI(w, r, body)
	}
}

// tally is what the clients of the storm saw.
type tally struct {
	stalls *asynctest.Stalls
	mu     sync.Mutex
	status map[int]int
	late   []time.Duration // answers after the deadline
	left   int
}

func newTally(t *testing.T) *tally {
	return &tally{stalls: asynctest.WatchStalls(t), status: map[int]int{}}
}

// Half of the deployments fail in every way there is, by turns; one refuses all
// connections. Clients leave. Whatever happens: every request ends in time,
// nothing stays in flight, and while somebody is healthy nearly all succeed.
func TestSoakChaos(t *testing.T) {
	testring.Soak(t, "judges how late answers come")
	const deadline = 3 * time.Second
	storms := make([]*storm, 4)
	config := "model_list:\n" + gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), ", timeout: 0.5")
	for i := range storms {
		storms[i] = &storm{dice: rand.New(rand.NewPCG(uint64(i), 3))}
		config += gatewaytest.Entry("m", gatewaytest.NewProvider(t, storms[i].answer).Base(), ", timeout: 0.5")
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 5, cooldown_time: 1, request_timeout: 3, routing_strategy: least-busy}\n"+
		"general_settings: {retry_budget_percent: 100, retry_budget_min_per_second: 1000}\n")
	ctx, cancel := context.WithTimeout(t.Context(), chaosTime(t))
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { // two of the four are broken at any time
		for turn := 0; ctx.Err() == nil; turn++ {
			for i, st := range storms {
				st.broken.Store((i+turn)%4 < 2)
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
	})
	count := newTally(t)
	for i := range 12 {
		dice := rand.New(rand.NewPCG(uint64(i), 4))
		wg.Go(func() {
			for ctx.Err() == nil {
				chaoticClient(s, count, dice, deadline)
			}
		})
	}
	wg.Wait()
	s.Idle()
	total := 0
	for _, n := range count.status {
		total += n
	}
	t.Logf("%d answers %v, %d clients left", total, count.status, count.left)
	if len(count.late) > 0 {
		t.Errorf("%d requests outlived their deadline of %s by more than 100 ms: %v", len(count.late), deadline, count.late)
	}
	if good := float64(count.status[200]) / float64(total); good < 0.97 || total < 200 {
		t.Errorf("%.1f %% of %d succeeded although two deployments were healthy at any time: %v", 100*good, total, count.status)
	}
}

// chaoticClient makes one request: some stream, some leave early.
func chaoticClient(s *gatewaytest.Gateway, count *tally, dice *rand.Rand, deadline time.Duration) {
	body := gatewaytest.Ask
	if dice.IntN(2) == 0 {
		body = gatewaytest.AskStream
	}
	patience := 20 * time.Second
	leaves := dice.IntN(10) == 0
	if leaves {
		patience = time.Duration(dice.IntN(30)) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(s.T.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		s.T.Error(err)
		return
	}
	clock := count.stalls.Clock()
	resp, err := http.DefaultClient.Do(req)
	took, late := clock() // to the headers: a stream may run on
	count.mu.Lock()
	defer count.mu.Unlock()
	switch {
	case err != nil && leaves:
		count.left++
	case err != nil:
		s.T.Errorf("after %s: %v", took, err)
	default:
		count.status[resp.StatusCode]++
		if took-late > deadline+100*time.Millisecond {
			count.late = append(count.late, took)
		}
		count.mu.Unlock()
		_ = gatewaytest.Drain(resp)
		count.mu.Lock()
	}
}
