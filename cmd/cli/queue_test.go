package cli

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// gate is a provider that answers one request each time somebody opens it.
type gate struct {
	*provider
	open chan struct{}
}

func newGate(t *testing.T) *gate {
	g := &gate{open: make(chan struct{})}
	g.provider = newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-g.open:
			openAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	return g
}

// pass lets n requests through.
func (g *gate) pass(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case g.open <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatal("nobody waits at the provider")
		}
	}
}

// leave sends a request and goes away when the provider has it.
func (s *stack) leave(t *testing.T, p *provider, body string) {
	t.Helper()
	before := len(p.calls())
	gone := s.sendLeaving(body)
	await(t, 20*time.Second, "the provider has the request", func() bool { return len(p.calls()) > before })
	gone()
}

// sendLeaving sends a request; the function returned leaves it.
func (s *stack) sendLeaving(body string) (leave func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	go func() {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			return
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = drainBody(resp)
		}
	}()
	return cancel
}

const queueOfFive = "general_settings: {max_parallel_requests: 2, enable_request_queue: true, queue_max_size: 5}\n"

func TestTwoRunFiveWaitAndThreeAreRefused(t *testing.T) {
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+queueOfFive)
	answers := make(chan *answer, 10)
	for range 10 {
		go func() { answers <- s.post("/v1/chat/completions", ask) }()
	}
	for range 3 {
		expectRefusal(t, <-answers, "too_many_parallel_requests")
	}
	await(t, 20*time.Second, "two run and five wait", func() bool { return len(p.calls()) == 2 && s.metric("isthmus_queue_length") == 5 })
	if len(answers) != 0 {
		t.Errorf("%d more have ended", len(answers))
	}
	p.pass(t, 7)
	for range 7 {
		if got := <-answers; got.status != 200 {
			t.Errorf("a request that waited: %d %s", got.status, got.body)
		}
	}
	s.idle()
}

func TestWhoWaitsIsServedInOrderAndWhoLeavesFreesThePlace(t *testing.T) {
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+queueOfFive)
	send := func(text string) func() { return s.sendLeaving(strings.Replace(ask, "hi", text, 1)) }
	wait := func(n int) { // in the order that they were sent in
		await(t, 20*time.Second, fmt.Sprint(n, " wait"), func() bool { return s.metric("isthmus_queue_length") == float64(n) })
	}
	for i := range 2 {
		send(fmt.Sprint("running", i))
	}
	await(t, 20*time.Second, "two run", func() bool { return len(p.calls()) == 2 })
	var leaves []func()
	for i := range 5 {
		leaves = append(leaves, send(fmt.Sprint("waiting", i)))
		wait(i + 1)
	}
	expectRefusal(t, s.post("/v1/chat/completions", ask), "too_many_parallel_requests")
	leaves[1]()
	wait(4)
	send("waiting5")
	wait(5)
	expectRefusal(t, s.post("/v1/chat/completions", ask), "too_many_parallel_requests")
	for i, want := range []string{"waiting0", "waiting2", "waiting3", "waiting4", "waiting5"} {
		p.pass(t, 1)
		await(t, 20*time.Second, want+" runs", func() bool { return len(p.calls()) == 3+i })
		if body := p.calls()[2+i].body; !strings.Contains(body, want) {
			t.Errorf("served after %d: %s, want %s", i, body, want)
		}
	}
	p.pass(t, 2)
	s.idle()
}

func TestWithoutAQueueTheRequestOverTheLimitIsRefusedAtOnce(t *testing.T) {
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+"general_settings: {max_parallel_requests: 1}\n")
	answers := make(chan *answer, 1)
	go func() { answers <- s.post("/v1/chat/completions", ask) }()
	await(t, 20*time.Second, "one runs", func() bool { return len(p.calls()) == 1 })
	clock := asynctest.WatchStalls(t).Clock()
	expectRefusal(t, s.post("/v1/chat/completions", ask), "too_many_parallel_requests")
	if took, late := clock(); took-late > 2*time.Second {
		t.Errorf("refused after %s; the machine was late by %s", took, late)
	}
	p.pass(t, 1)
	if got := <-answers; got.status != 200 {
		t.Errorf("the first: %d", got.status)
	}
}

func TestWaitingTooLongEndsInA429(t *testing.T) {
	t.Parallel()
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+
		"general_settings: {max_parallel_requests: 1, enable_request_queue: true, queue_timeout: 1}\n")
	s.sendLeaving(ask)
	await(t, 20*time.Second, "one runs", func() bool { return len(p.calls()) == 1 })
	clock := asynctest.WatchStalls(t).Clock()
	got := s.post("/v1/chat/completions", ask)
	expectRefusal(t, got, "too_many_parallel_requests")
	if took, late := clock(); took < 900*time.Millisecond || took-late > 5*time.Second {
		t.Errorf("refused after %s, want 1 s; the machine was late by %s", took, late)
	}
	p.pass(t, 1)
}

// Envoy waits 10 s for an answer to a message, unless it is asked for more.
func TestAWaitMayBeLongerThanEnvoysOwnTime(t *testing.T) {
	t.Parallel()
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+"general_settings: {max_parallel_requests: 1, enable_request_queue: true}\n")
	answers := make(chan *answer, 2)
	began := time.Now()
	go func() { answers <- s.post("/v1/chat/completions", ask) }()
	await(t, 20*time.Second, "one runs", func() bool { return len(p.calls()) == 1 })
	go func() { answers <- s.post("/v1/chat/completions", askStream) }()
	timer := time.NewTimer(11500 * time.Millisecond)
	defer timer.Stop()
	select {
	case got := <-answers:
		t.Fatalf("after %s: %d %s", time.Since(began), got.status, got.body)
	case <-timer.C:
	}
	p.pass(t, 2)
	for range 2 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}
