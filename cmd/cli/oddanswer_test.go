package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
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
	if got := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"error"`, 1)); got.status != 200 || got.body != goodAnswer || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("after it: %d %s", got.status, got.body)
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
