package limits

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

const queueOfFive = "general_settings: {max_parallel_requests: 2, enable_request_queue: true, queue_max_size: 5}\n"

func TestTwoRunFiveWaitAndThreeAreRefused(t *testing.T) {
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+queueOfFive)
	answers := make(chan *gatewaytest.Answer, 10)
	for range 10 {
		go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	}
	for range 3 {
		refused := <-answers
		gatewaytest.ExpectRefusal(t, refused, "too_many_parallel_requests")
		if limit := refused.Header.Get("X-Isthmus-Queued-For"); limit != "gateway" {
			t.Errorf("one that the full queue refuses lacks %q", limit)
		}
	}
	asynctest.Await(t, "two run and five wait",
		func() bool { return len(p.Calls()) == 2 && s.Metric("isthmus_queue_length") == 5 })
	if len(answers) != 0 {
		t.Errorf("%d more have ended", len(answers))
	}
	p.Pass(t, 7)
	queued := 0
	for range 7 {
		got := <-answers
		if got.Status != 200 {
			t.Errorf("a request that waited: %d %s", got.Status, got.Body)
		}
		if got.Header.Get("X-Isthmus-Queued-For") == "gateway" {
			queued++
		}
	}
	if queued != 5 {
		t.Errorf("%d answers say that they waited for the gateway's limit, want 5", queued)
	}
	s.Idle()
}

func TestWhoWaitsIsServedInOrderAndWhoLeavesFreesThePlace(t *testing.T) {
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+queueOfFive)
	send := func(text string) func() { return s.SendLeaving(strings.Replace(gatewaytest.Ask, "hi", text, 1)) }
	wait := func(n int) { // in the order that they were sent in
		asynctest.Await(t, fmt.Sprint(n, " wait"), func() bool { return s.Metric("isthmus_queue_length") == float64(n) })
	}
	for i := range 2 {
		send(fmt.Sprint("running", i))
	}
	asynctest.Await(t, "two run", func() bool { return len(p.Calls()) == 2 })
	var leaves []func()
	for i := range 5 {
		leaves = append(leaves, send(fmt.Sprint("waiting", i)))
		wait(i + 1)
	}
	gatewaytest.ExpectRefusal(t, s.Post("/v1/chat/completions", gatewaytest.Ask), "too_many_parallel_requests")
	leaves[1]()
	wait(4)
	send("waiting5")
	wait(5)
	gatewaytest.ExpectRefusal(t, s.Post("/v1/chat/completions", gatewaytest.Ask), "too_many_parallel_requests")
	for i, want := range []string{"waiting0", "waiting2", "waiting3", "waiting4", "waiting5"} {
		p.Pass(t, 1)
		asynctest.Await(t, want+" runs", func() bool { return len(p.Calls()) == 3+i })
		if body := p.Calls()[2+i].Body; !strings.Contains(body, want) {
			t.Errorf("served after %d: %s, want %s", i, body, want)
		}
	}
	p.Pass(t, 2)
	s.Idle()
}

func TestWithoutAQueueTheRequestOverTheLimitIsRefusedAtOnce(t *testing.T) {
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+"general_settings: {max_parallel_requests: 1}\n")
	answers := make(chan *gatewaytest.Answer, 1)
	go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	asynctest.Await(t, "one runs", func() bool { return len(p.Calls()) == 1 })
	clock := asynctest.WatchStalls(t).Clock()
	gatewaytest.ExpectRefusal(t, s.Post("/v1/chat/completions", gatewaytest.Ask), "too_many_parallel_requests")
	if took, late := clock(); testring.JudgesTimes() && took-late > 2*time.Second {
		t.Errorf("refused after %s; the machine was late by %s", took, late)
	}
	p.Pass(t, 1)
	if got := <-answers; got.Status != 200 {
		t.Errorf("the first: %d", got.Status)
	}
}

func TestWaitingTooLongEndsInA429(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
		"general_settings: {max_parallel_requests: 1, enable_request_queue: true, queue_timeout: 1}\n")
	s.SendLeaving(gatewaytest.Ask)
	asynctest.Await(t, "one runs", func() bool { return len(p.Calls()) == 1 })
	clock := asynctest.WatchStalls(t).Clock()
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	gatewaytest.ExpectRefusal(t, got, "too_many_parallel_requests")
	if took, late := clock(); took < 900*time.Millisecond || testring.JudgesTimes() && took-late > 5*time.Second {
		t.Errorf("refused after %s, want 1 s; the machine was late by %s", took, late)
	}
	p.Pass(t, 1)
}

// Envoy waits 10 s for an answer to a message, unless it is asked for more.
func TestAWaitMayBeLongerThanEnvoysOwnTime(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewGate(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
		"general_settings: {max_parallel_requests: 1, enable_request_queue: true}\n")
	answers := make(chan *gatewaytest.Answer, 2)
	began := time.Now()
	go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask) }()
	asynctest.Await(t, "one runs", func() bool { return len(p.Calls()) == 1 })
	go func() { answers <- s.Post("/v1/chat/completions", gatewaytest.AskStream) }()
	timer := time.NewTimer(11500 * time.Millisecond)
	defer timer.Stop()
	select {
	case got := <-answers:
		t.Fatalf("after %s: %d %s", time.Since(began), got.Status, got.Body)
	case <-timer.C:
	}
	p.Pass(t, 2)
	for range 2 {
		if got := <-answers; got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
}

// Of two deployments of one model, told apart by tags, one is taken up by a slow provider.
// A request for the other is served at once, whoever waits for the slow one.
func TestARequestForAnIdleDeploymentDoesNotWaitBehindOneForABusyOne(t *testing.T) {
	t.Parallel()
	slow, idle := gatewaytest.NewGate(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", slow.Base(), ", max_parallel_requests: 1, tags: [slow]")+
		gatewaytest.Entry("m", idle.Base(), ", max_parallel_requests: 1, tags: [idle]")+
		"router_settings: {enable_tag_filtering: true, num_retries: 0}\n"+
		"general_settings: {enable_request_queue: true, queue_timeout: 120}\n")
	answers := make(chan *gatewaytest.Answer, 2)
	ask := func() { answers <- s.Post("/v1/chat/completions", gatewaytest.Ask, "X-Litellm-Tags", "slow") }
	go ask()
	asynctest.Await(t, "one runs", func() bool { return len(slow.Calls()) == 1 })
	go ask()
	asynctest.Await(t, "one waits", func() bool { return s.Metric("isthmus_queue_length") == 1 })
	for range 3 {
		got := s.Post("/v1/chat/completions", gatewaytest.Ask, "X-Litellm-Tags", "idle")
		if queuedFor := got.Header.Get("X-Isthmus-Queued-For"); got.Status != 200 || queuedFor != "" {
			t.Errorf("%d, it waited for %q: %s", got.Status, queuedFor, got.Body)
		}
	}
	if n := s.Metric("isthmus_queue_length"); n != 1 || len(idle.Calls()) != 3 {
		t.Errorf("%v wait, the idle deployment was asked %d times", n, len(idle.Calls()))
	}
	slow.Pass(t, 2)
	queued := 0
	for range 2 {
		got := <-answers
		if got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
		if strings.HasPrefix(got.Header.Get("X-Isthmus-Queued-For"), "deployment/") {
			queued++
		}
	}
	if queued != 1 {
		t.Errorf("%d answers say that they waited for a deployment, want 1", queued)
	}
	s.Idle()
}
