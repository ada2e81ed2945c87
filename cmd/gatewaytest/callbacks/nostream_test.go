package callbacks

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestAServerThatDoesNotStreamIsAStreamToItsClients, and a document to everybody
// else: the hooks, the cache and the limits. A long answer comes without a length.
func TestAServerThatDoesNotStreamIsAStreamToItsClients(t *testing.T) {
	long := strings.Replace(gatewaytest.GoodAnswer, `"hi"`, `"`+strings.Repeat("word ", 30_000)+`"`, 1)
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		text := gatewaytest.GoodAnswer
		if strings.Contains(body, "long") {
			text = long
		}
		fmt.Fprint(w, text[:20])
		if text == long {
			gatewaytest.Flush(w)
		}
		fmt.Fprint(w, text[20:])
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", tpm: 100000")+gatewaytest.Cached+
		"litellm_settings: {callbacks: ['exec:ISTHMUS_HOOKS=post_api_call,stream_event,success_event cat']}\n")
	for name, body := range map[string]string{"a short one": gatewaytest.AskStream,
		"a long one": strings.Replace(gatewaytest.AskStream, "hi", "long", 1)} {
		body = strings.Replace(body, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		first, again := s.Post("/v1/chat/completions", body), s.Post("/v1/chat/completions", body)
		if first.Status != 200 || first.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" ||
			first.Header.Get("X-Isthmus-Cache") != "miss" ||
			!strings.Contains(first.Body, `"total_tokens":5`) ||
			!strings.HasSuffix(first.Body, "data: [DONE]\n\n") {
			t.Errorf("%s: %d %v %.300s", name, first.Status, first.Header, first.Body)
		}
		if again.Header.Get("X-Isthmus-Cache") != "hit" || again.Body != first.Body {
			t.Errorf("%s: the stored answer: %v %.300s", name, again.Header, again.Body)
		}
		if name == "a long one" { // its chunk is longer than a line of a program's
			continue
		}
		asynctest.Await(t, name+" is told to the hooks", func() bool {
			_, hooks := hooked(s, first.Header.Get("X-Isthmus-Request-Id"))
			return hooks == strings.Repeat("stream_event ", 4)+"post_api_call success_event"
		})
	}
	s.RequestLog(4)
	if health := s.AdminGet("/health"); !strings.Contains(health, `"tokens_last_minute":10,`) {
		t.Errorf("the tokens of two answers are not counted: %s", health)
	}
	s.Idle()
}
