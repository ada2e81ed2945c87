package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAnErrorWithStatus200IsAnErrorForTheClientAndForTheDeployment as far as it can
// be told before the answer goes on: it has a length, as servers' errors have.
func TestAnErrorWithStatus200IsAnErrorForTheClientAndForTheDeployment(t *testing.T) {
	say := func(body string) *provider {
		return newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, body)
		})
	}
	good := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+
		entry("error", say(`{"error":{"message":"overloaded","code":503}}`).base(), ", order: 1, allowed_fails: 1, cooldown_time: 60")+entry("error", good.base(), ", order: 2")+
		entry("empty", say("").base(), "")+entry("torn", say(goodAnswer[:40]).base(), ""))
	for _, body := range []string{ask, askStream} {
		for model, status := range map[string]int{"empty": 502, "torn": 502} {
			if got := s.post("/v1/chat/completions", strings.Replace(body, `"m"`, `"`+model+`"`, 1)); got.status != status || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %v %q", model, got.status, got.header, got.body)
			} else {
				errorOf(t, got)
			}
		}
	}
	failed := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"error"`, 1))
	if _, _, _, message := errorOf(t, failed); failed.status != 503 || message != "overloaded" {
		t.Errorf("an error object: %d %s", failed.status, failed.body)
	}
	s.settled(5) // the deployment rests by then
	if got := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"error"`, 1)); got.status != 200 || got.body != goodAnswer || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("after it: %d %s", got.status, got.body)
	}
	s.idle()
}

// TestAServerThatDoesNotStreamIsAStreamToItsClients, and a document to everybody
// else: the hooks, the cache and the limits. A long answer comes without a length.
func TestAServerThatDoesNotStreamIsAStreamToItsClients(t *testing.T) {
	long := strings.Replace(goodAnswer, `"hi"`, `"`+strings.Repeat("word ", 30_000)+`"`, 1)
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		text := goodAnswer
		if strings.Contains(body, "long") {
			text = long
		}
		fmt.Fprint(w, text[:20])
		if text == long {
			flush(w)
		}
		fmt.Fprint(w, text[20:])
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", tpm: 100000")+cached+
		"litellm_settings: {callbacks: ['exec:ISTHMUS_HOOKS=post_api_call,stream_event,success_event cat']}\n")
	for name, body := range map[string]string{"a short one": askStream, "a long one": strings.Replace(askStream, "hi", "long", 1)} {
		body = strings.Replace(body, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1)
		first, again := s.post("/v1/chat/completions", body), s.post("/v1/chat/completions", body)
		if first.status != 200 || first.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || first.header.Get("X-Isthmus-Cache") != "miss" ||
			!strings.Contains(first.body, `"total_tokens":5`) || !strings.HasSuffix(first.body, "data: [DONE]\n\n") {
			t.Errorf("%s: %d %v %.300s", name, first.status, first.header, first.body)
		}
		if again.header.Get("X-Isthmus-Cache") != "hit" || again.body != first.body {
			t.Errorf("%s: the stored answer: %v %.300s", name, again.header, again.body)
		}
		if name == "a long one" { // its chunk is longer than a line of a program's
			continue
		}
		await(t, 20*time.Second, name+" is told to the hooks", func() bool {
			_, hooks := s.hooked(first.header.Get("X-Isthmus-Request-Id"))
			return hooks == strings.Repeat("stream_event ", 4)+"post_api_call success_event"
		})
	}
	s.settled(4)
	if health := s.adminGet("/health"); !strings.Contains(health, `"tokens_last_minute":10,`) {
		t.Errorf("the tokens of two answers are not counted: %s", health)
	}
	s.idle()
}

// TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn: these headers are meant
// for the Envoys of its own mesh.
func TestAnEnvoyBeforeTheProviderDoesNotKeepOursFromGoingOn(t *testing.T) {
	good := newProvider(t, openAI)
	for _, header := range []string{"X-Envoy-Ratelimited", "X-Envoy-Overloaded"} {
		limited := newProvider(t, failWith(429, header, "true"))
		s := startStack(t, "model_list:\n"+entry("m", limited.base(), ", order: 1")+entry("m", good.base(), ", order: 2"))
		if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "2" {
			t.Errorf("%s: %d %s", header, got.status, got.body)
		}
		s.idle()
	}
}
