package providers

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestAServersOwnWordsBecomeOpenAIs plays a provider that speaks OpenAI's format
// with words of its own, through Envoy.
func TestAServersOwnWordsBecomeOpenAIs(t *testing.T) {
	const blocking = `{"id":"1","object":"chat.completion","model":"up","choices":[{"index":0,"message":{"role":"assistant",` +
		`"reasoning":"hm","content":"ho"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	const streamed = `data: {"id":"1","model":"up","choices":[{"index":0,"delta":{"role":"assistant","reasoning":"hm"}}]}` + "\n\n" +
		`data: {"id":"1","model":"up","choices":[{"index":0,"delta":{"content":"ho"},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		if strings.Contains(body, `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprint(w, streamed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, blocking)
	})
	s := gatewaytest.Start(t, fmt.Sprintf(`model_list:
- model_name: m
  litellm_params: {model: groq/up, api_key: sk-provider, api_base: %q}
`, p.Base()))

	own := strings.NewReplacer(`"reasoning"`, `"reasoning_content"`)
	got := s.Post("/v1/chat/completions", `{"model":"m","messages":[{"role":"user","name":"Ann","content":"hi"}],"logprobs":false}`)
	if got.Status != 200 || got.Body != own.Replace(blocking) {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.AskStream); got.Status != 200 || got.Body != own.Replace(streamed) {
		t.Errorf("stream = %d %s", got.Status, got.Body)
	}
	const want = `{"model":"up","messages":[{"role":"user","content":"hi"}]}`
	if got := p.Calls()[0].Body; got != want {
		t.Errorf("the provider got %s, want %s", got, want)
	}
	_, _, param, message := gatewaytest.ErrorOf(t, s.Post("/v1/chat/completions", `{"model":"m","messages":[],"n":2,"logit_bias":{"1":1}}`))
	if param == "" || !strings.Contains(message, "n") || !strings.Contains(message, "logit_bias") {
		t.Errorf("the refusal of %q says %q", param, message)
	}
	if n := len(p.Calls()); n != 2 {
		t.Errorf("the provider was asked %d times, want 2", n)
	}
}
