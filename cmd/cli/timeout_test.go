package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTheClientsOwnTimeoutMayBeLongerThanTheConfiguredOnes: a request that says
// how long it waits is waited for as long.
func TestTheClientsOwnTimeoutMayBeLongerThanTheConfiguredOnes(t *testing.T) {
	slow := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		select {
		case <-time.After(1200 * time.Millisecond):
			openAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	s := startStack(t, "model_list:\n"+entry("m", slow.base(), ", timeout: 0.5")+"router_settings: {num_retries: 0}\n")
	for _, body := range []string{ask, askStream} {
		if got := s.post("/v1/chat/completions", body); got.status != 504 {
			t.Errorf("without one: %d %s", got.status, got.body)
		}
		if got := s.post("/v1/chat/completions", strings.Replace(body, "{", `{"timeout":5,`, 1)); got.status != 200 {
			t.Errorf("with one: %d %s", got.status, got.body)
		}
	}
	s.idle()
}

// TestWhenNobodyAnswersInTimeTheClientIsToldSo also where Envoy may try more often
// than there are deployments to try, and says of the end of the plan that there
// is no host.
func TestWhenNobodyAnswersInTimeTheClientIsToldSo(t *testing.T) {
	never := newProvider(t, hang)
	s := startStack(t, "model_list:\n"+entry("m", never.base(), ", timeout: 0.3")+entry("other", refused(t), "")+
		"router_settings: {num_retries: 0, context_window_fallbacks: [{m: [other]}]}\n")
	got := s.post("/v1/chat/completions", ask)
	if got.status != 504 || !strings.Contains(got.body, `"code":"upstream_timeout"`) || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("%d after %s attempts: %s", got.status, got.header.Get("X-Isthmus-Attempts"), got.body)
	}
	if got := s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"other"`, 1)); got.status != 503 {
		t.Errorf("nobody could be reached: %d %s", got.status, got.body)
	}
	s.idle()
}
