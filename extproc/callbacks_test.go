package extproc

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/all"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// TestHooksAreToldOfAStreamThatNoDeploymentGave: a mocked answer is of no attempt.
func TestHooksAreToldOfAStreamThatNoDeploymentGave(t *testing.T) {
	h := newHouse(t, `model_list: [{model_name: m, litellm_params: {model: openai/up, api_key: k, mock_response: "two words"}}]`)
	chunks := make(chan *callback.Event, 16)
	set, err := all.Open(config.Callbacks{}, all.Deps{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func() float64 { return 0 }, Guard: h.guard,
		Hooks: []*callback.Hooks{{StreamEvent: func(_ context.Context, e *callback.Event) { chunks <- e }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.runtime.Use(h.router, Settings{Callbacks: set})
	f := h.open(names.FilterRequest)
	answer, _ := h.begin(f, strings.Replace(question, "{", `{"stream":true,`, 1))
	if body := string(answer.GetImmediateResponse().GetBody()); !strings.Contains(body, "two words") {
		t.Errorf("the answer is %q", body)
	}
	if err := f.close(); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
	if err := set.Close(t.Context()); err != nil {
		t.Error(err)
	}
	close(chunks)
	var told string
	for e := range chunks {
		if told += string(e.Chunk); e.Attempt != 0 || e.Provider != "openai" {
			t.Errorf("a chunk is of attempt %d and %s", e.Attempt, e.Provider)
		}
	}
	if !strings.Contains(told, "two words") {
		t.Errorf("the hook is told %q", told)
	}
}
