package cli

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

func TestTimeouts(t *testing.T) {
	stall := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n")
		flush(w)
		<-r.Context().Done()
	})
	never, good := newProvider(t, hang), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+
		entry("hangs", never.base(), ", order: 1, timeout: 0.7")+entry("hangs", good.base(), ", order: 2, timeout: 0.7")+
		entry("stalls", stall.base(), ", timeout: 1")+entry("never", never.base(), ", timeout: 30")+entry("never", never.base(), ", timeout: 30")+
		"router_settings: {num_retries: 2, request_timeout: 2}\n")
	stalls := asynctest.WatchStalls(t)
	for name, tc := range map[string]struct {
		body     string
		status   int
		min, max time.Duration
	}{
		"an attempt that hangs gives way after its timeout": {`{"model":"hangs"`, 200, 700 * time.Millisecond, 1500 * time.Millisecond},
		"a streaming one too":                               {`{"model":"hangs","stream":true`, 200, 700 * time.Millisecond, 1500 * time.Millisecond},
		"the request's own timeout comes first":             {`{"model":"hangs","timeout":0.3`, 200, 300 * time.Millisecond, 650 * time.Millisecond},
		// Envoy waits five seconds more before it closes the connection.
		"a stream that stalls is cut":                           {`{"model":"stalls","stream":true`, 200, time.Second, 6700 * time.Millisecond},
		"all attempts end with the request's whole time":        {`{"model":"never"`, 504, 2 * time.Second, 2100 * time.Millisecond},
		"those of a stream that has not begun too":              {`{"model":"never","stream":true`, 504, 2 * time.Second, 2100 * time.Millisecond},
		"and a retry of a shorter timeout does not outlive it":  {`{"model":"never","stream":true,"timeout":0.8`, 504, 1900 * time.Millisecond, 2100 * time.Millisecond},
		"whichever of the attempts is running when it is spent": {`{"model":"never","timeout":0.8`, 504, 1900 * time.Millisecond, 2100 * time.Millisecond},
	} {
		var got *answer
		var took, late time.Duration
		fits := false
		for try := 0; try < 5 && !fits; try++ { // what a late machine spoils is tried again
			clock := stalls.Clock()
			got = s.post("/v1/chat/completions", tc.body+`,"messages":[{"role":"user","content":"hi"}]}`)
			took, late = clock()
			// Envoy's timers count from when its loop last looked at the clock.
			if fits = got.status == tc.status && took >= tc.min-20*time.Millisecond-late && took <= tc.max+late; late < 20*time.Millisecond {
				break
			}
		}
		if !fits {
			t.Errorf("%s: %d after %s (the machine was late by %s), want %d after %s to %s: %s", name, got.status, took, late, tc.status, tc.min, tc.max, got.body)
		}
		if tc.status == 504 && !strings.Contains(got.body, `"type":"timeout_error"`) {
			t.Errorf("%s: body %s", name, got.body)
		}
	}
	s.idle()
}

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
