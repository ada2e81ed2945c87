package extproc

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

func TestARequestIsToldWhichLimitItWasQueuedFor(t *testing.T) {
	one := limit.Budget{MaxParallel: 1}
	for want, o := range map[string]limit.Options{
		"deployment/a": {Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: one}}},
		"model/m":      {Deployments: []limit.Deployment{{ID: "a", Group: "m"}}, Groups: map[string]limit.Budget{"m": one}},
		"tenant":       {Caller: one},
		"gateway":      {MaxParallel: 1},
	} {
		t.Run(want, func(t *testing.T) {
			h := newHouse(t, `model_list:
- {model_name: m, litellm_params: {model: openai/up-a, api_base: "http://a.test/v1", api_key: sk-a}, model_info: {id: a}}
`)
			o.Queue = &limit.QueueOptions{Size: 1}
			limiter := h.limited(o)
			running, waiting, refused := h.open(names.FilterRequest), h.open(names.FilterRequest), h.open(names.FilterRequest)
			if answer, _ := h.begin(running, question); answer.GetRequestBody() == nil {
				t.Fatalf("the first request: %T", answer.GetResponse())
			}
			waiting.ask(requestHeaders(false, begun()...))
			waiting.in <- requestBody(question)
			asynctest.Await(t, "one request waits", func() bool { return limiter.Queued() == 1 })

			answer, _ := h.begin(refused, question) // the queue is full
			if set, _ := changes(answer.GetImmediateResponse().GetHeaders()); set["x-isthmus-queued-for"] != want {
				t.Errorf("one that the queue refuses: x-isthmus-queued-for = %q", set["x-isthmus-queued-for"])
			} else if limit := want + " max_parallel_requests"; set["x-isthmus-limited-by"] != limit {
				t.Errorf("one that the queue refuses: x-isthmus-limited-by = %q, want %q", set["x-isthmus-limited-by"], limit)
			}
			if err := refused.close(); err != nil {
				t.Fatal(err)
			}
			set := running.served()
			if _, there := set["x-isthmus-queued-for"]; there {
				t.Error("one that was admitted at once is told that it waited")
			}
			if waiting.answer().GetRequestBody() == nil {
				t.Fatal("the request that waited is not sent")
			}
			if set = waiting.served(); set["x-isthmus-queued-for"] != want {
				t.Errorf("one that waited: x-isthmus-queued-for = %q", set["x-isthmus-queued-for"])
			}
			asynctest.Await(t, "both lines name the limit", func() bool { return strings.Count(h.log.String(), " queued_for="+want) == 2 })
			if log := h.log.String(); !strings.Contains(log, ` limited_by="`+want+` max_parallel_requests"`) {
				t.Errorf("no line names the limit that refused: %s", log)
			}
			kind, _, _ := strings.Cut(want, "/")
			if n := h.refusals(kind); n != 1 {
				t.Errorf("%v refusals are counted for %s", n, kind)
			}
			if n := h.waits(kind); n != 2 {
				t.Errorf("%d waits are counted for %s", n, kind)
			}
		})
	}
}

// served lets the provider answer attempt 1 and ends the stream. It returns the headers
// that the client's answer is given.
func (f *filterStream) served() map[string]string {
	f.t.Helper()
	head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
	f.ask(responsePiece(`{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, true))
	if err := f.close(); err != nil {
		f.t.Fatal(err)
	}
	set, _ := changes(head.GetResponseHeaders().GetResponse().GetHeaderMutation())
	return set
}

// waits counts the waits in the queue for limits of a kind.
func (h *house) waits(kind string) (n uint64) {
	h.t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "isthmus_queue_wait_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == "limit" && label.GetValue() == kind {
					n += m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return n
}

// refusals counts the requests that limits of a kind have refused.
func (h *house) refusals(kind string) (n float64) {
	h.t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, label := range m.GetLabel() {
				if f.GetName() == "isthmus_refused_total" && label.GetName() == "limit" && label.GetValue() == kind {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}

func TestAStepSaysWhatARequestWaitsForWhileItWaits(t *testing.T) {
	out := &asynctest.Text{}
	steps := &stepLog{id: "1", log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	steps.queued([]string{"deployment/a", "tenant"})
	if !strings.HasSuffix(out.String(), ` msg=queued id=1 queued_for="deployment/a, tenant"`+"\n") {
		t.Errorf("log: %q", out)
	}
	(*stepLog)(nil).queued(nil) // does nothing
}

// queueBehind is two deployments with a slot each, of which the first is taken and the
// second cools down for a second, and a request that waits for the first. It is called in
// a bubble of synctest: the second must not pass before the request waits.
func queueBehind(t *testing.T) (h *house, running, waiting *filterStream, id string) {
	t.Helper()
	h = newHouse(t, strings.Replace(twoSisters, "{num_retries: 1}", "{num_retries: 1, cooldown_time: 1}", 1))
	one := limit.Budget{MaxParallel: 1}
	limiter := h.limited(limit.Options{
		Queue: &limit.QueueOptions{Renew: 5 * time.Millisecond}, MaxParallel: 100,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: one}, {ID: "b", Group: "m", Budget: one}},
	})
	running = h.open(names.FilterRequest)
	_, id = h.begin(running, question)
	second := h.open(names.FilterRequest)
	_, other := h.begin(second, question)
	h.fail(other, 1, 429, `{"error":{"message":"slow down"}}`)
	if err := second.close(); err != nil {
		t.Fatal(err)
	}
	waiting = h.open(names.FilterRequest)
	waiting.ask(requestHeaders(false, begun()...))
	waiting.in <- requestBody(question)
	asynctest.Await(t, "the request waits", func() bool { return limiter.Queued() == 1 })
	return h, running, waiting, id
}

func TestARequestThatWaitsIsServedByADeploymentThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, running, waiting, _ := queueBehind(t)
		if plan := planOf(waiting.answer()); len(plan) == 0 || !strings.HasPrefix(plan[0], "deployment/b/") {
			t.Errorf("the plan is %v; a's slot is taken, and b is back", plan)
		}
		h.end(waiting, 1)
		h.end(running, 0)
		h.nothingHeld()
		if log := h.log.String(); !strings.Contains(log, "queued_for=deployment/a") {
			t.Errorf("no line tells what it waited for: %s", log)
		}
	})
}

func TestARequestThatWaitsIsRefusedWhenAllItsDeploymentsCoolDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, running, waiting, id := queueBehind(t)
		h.fail(id, 1, 429, `{"error":{"message":"slow down"}}`)
		answer := waiting.answer().GetImmediateResponse()
		if answer.GetStatus().GetCode() != 503 || !strings.Contains(string(answer.GetBody()), "cooling down") {
			t.Errorf("it is answered by %v", answer)
		}
		h.end(waiting, 1)
		h.end(running, 0)
		h.nothingHeld()
	})
}

// TestARequestThatAnotherDeploymentMayServeDoesNotWait: one of the same model does, for
// a deployment that it cannot use or need not.
func TestARequestThatAnotherDeploymentMayServeDoesNotWait(t *testing.T) {
	const (
		model = `- {model_name: %s, litellm_params: {model: %s, api_base: "http://%s.test/v1", api_key: sk, max_parallel_requests: 1%s}, ` +
			`model_info: {id: %s%s}}` + "\n"
		other    = `{"model":"m","messages":[{"role":"user","content":"hi"}],"fallbacks":["n"]}`
		embed    = `{"model":"m","input":"hi"}`
		tagged   = `{"model":"m","messages":[{"role":"user","content":"hi"}],"tags":["b"]}`
		untagged = `{"model":"m","messages":[{"role":"user","content":"hi"}],"tags":["a"]}`
	)
	long := strings.Replace(question, "hi", strings.Repeat("a long prompt ", 100), 1)
	for name, tc := range map[string]struct {
		config, settings string
		waits, goes      string // bodies: of those for a, of the one for b
		path             string // of those for a
	}{
		"for its tags": {
			fmt.Sprintf(model, "m", "openai/x", "a", ", tags: [a]", "a", "") + fmt.Sprintf(model, "m", "openai/x", "b", ", tags: [b]", "b", ""),
			"router_settings: {enable_tag_filtering: true}\n", untagged, tagged, "",
		},
		"for fallbacks of its own": {
			fmt.Sprintf(model, "m", "openai/x", "a", "", "a", "") + fmt.Sprintf(model, "n", "openai/x", "b", "", "b", ""),
			"", question, other, "",
		},
		"for its endpoint": {
			fmt.Sprintf(model, "m", "openai/x", "a", ", order: 2", "a", "") + fmt.Sprintf(model, "m", "anthropic/x", "b", ", order: 1", "b", ""),
			"", embed, question, "/v1/embeddings",
		},
		"for the size of its prompt": {
			fmt.Sprintf(model, "m", "openai/x", "a", ", order: 2", "a", "") +
				fmt.Sprintf(model, "m", "openai/x", "b", ", order: 1", "b", ", max_input_tokens: 50"),
			"router_settings: {enable_pre_call_checks: true}\n", long, question, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "model_list:\n"+tc.config+tc.settings)
			one := limit.Budget{MaxParallel: 1}
			limiter := h.limited(limit.Options{MaxParallel: 100, Queue: &limit.QueueOptions{}, Deployments: []limit.Deployment{
				{ID: "a", Group: "m", Budget: one}, {ID: "b", Group: "m", Budget: one},
			}})
			begin := func(body, path string) *filterStream {
				f, head := h.open(names.FilterRequest), begun()
				if path != "" {
					head[3] = path
				}
				f.ask(requestHeaders(false, head...))
				f.in <- requestBody(body)
				return f
			}
			running := begin(tc.waits, tc.path)
			if plan := planOf(running.answer()); len(plan) == 0 || !strings.HasPrefix(plan[0], "deployment/a/") {
				t.Fatalf("the first goes to %v", plan)
			}
			waiting := begin(tc.waits, tc.path)
			asynctest.Await(t, "one waits", func() bool { return limiter.Queued() == 1 })
			goes := begin(tc.goes, "")
			if plan := planOf(goes.answer()); len(plan) == 0 || !strings.HasPrefix(plan[0], "deployment/b/") || limiter.Queued() != 1 {
				t.Errorf("it goes to %v, %d wait", plan, limiter.Queued())
			}
			h.end(goes, 1)
			if err := running.close(); err != nil {
				t.Error(err)
			}
			waiting.answer()
			h.end(waiting, 0)
			h.nothingHeld()
		})
	}
}
