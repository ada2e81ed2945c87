package extproc

import (
	"log/slog"
	"strings"
	"testing"

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
			kind, _, _ := strings.Cut(want, "/")
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

func TestAStepSaysWhatARequestWaitsForWhileItWaits(t *testing.T) {
	out := &asynctest.Text{}
	steps := &stepLog{id: "1", log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	steps.queued([]string{"deployment/a", "tenant"})
	if !strings.HasSuffix(out.String(), ` msg=queued id=1 queued_for="deployment/a, tenant"`+"\n") {
		t.Errorf("log: %q", out)
	}
	(*stepLog)(nil).queued(nil) // does nothing
}
