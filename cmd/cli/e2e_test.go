package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ask = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`
const askStream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`

func TestACleanRequestCostsOneStreamAndReachesTheProviderAsItWas(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", temperature: 0.5, max_tokens: 7"))
	got := s.post("/v1/chat/completions", `{"model":"m", "seed":1.0e2,"unknown":[1, 2], "messages":[{"role":"user","content":"hé"}],"max_tokens":9,"num_retries":1}`,
		"Authorization", "Bearer client-canary", "X-Isthmus-Retry", "1", "X-Envoy-Max-Retries", "9", "Cookie", "canary=1", "X-Api-Key", "client-canary")
	if got.status != 200 || got.body != goodAnswer {
		t.Fatalf("answer = %d %s", got.status, got.body)
	}
	for name, want := range map[string]string{"X-Isthmus-Attempts": "1", "X-Isthmus-Fallbacks": "0", "X-Isthmus-Model-Group": "m", "Content-Type": "application/json"} {
		if v := got.header.Get(name); v != want {
			t.Errorf("header %s = %q, want %q", name, v, want)
		}
	}
	calls := p.calls()
	if len(calls) != 1 {
		t.Fatalf("the provider was asked %d times", len(calls))
	}
	const want = `{"model":"up", "seed":1.0e2,"unknown":[1, 2], "messages":[{"role":"user","content":"hé"}],"max_tokens":9,"temperature":0.5}`
	if calls[0].body != want || calls[0].path != "/v1/chat/completions" {
		t.Errorf("the provider got %s %s\nwant %s", calls[0].path, calls[0].body, want)
	}
	wantHeader := http.Header{
		"Authorization": {"Bearer sk-provider"}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Accept-Encoding": {"identity"}, "User-Agent": {"isthmus"}, "Content-Length": {strconv.Itoa(len(want))},
	}
	if diff := cmp.Diff(wantHeader, calls[0].header); diff != "" {
		t.Errorf("headers at the provider (-want +got):\n%s", diff)
	}
	if r, f, u := s.streams("request"), s.streams("failure"), s.streams("retry"); r != 1 || f != 0 || u != 0 {
		t.Errorf("streams: request %d, failure %d, retry %d; want 1 0 0", r, f, u)
	}
}

func TestAFailedDeploymentIsPassedOverForItsSister(t *testing.T) {
	for name, tc := range map[string]struct {
		bad             func(http.ResponseWriter, *http.Request, string)
		failure, status int // streams of the failure filter
	}{
		"it refuses the connection":   {nil, 0, 0},
		"it hangs before its headers": {hang, 0, 0},
		"it answers 500":              {failWith(500), 1, 500},
		"it answers 429":              {failWith(429, "Retry-After", "7"), 1, 429},
		"it answers 408":              {failWith(408), 1, 408},
		"it answers 409":              {failWith(409), 1, 409},
		"it resets the connection":    {func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, timeout := refused(t), ""
			if tc.bad != nil {
				base = newProvider(t, tc.bad).base()
			}
			if strings.Contains(name, "hangs") { // where nothing hangs, a slow machine is no failure
				timeout = ", timeout: 2"
			}
			good := newProvider(t, openAI)
			s := startStack(t, "model_list:\n"+entry("m", base, ", order: 1"+timeout)+entry("m", good.base(), ", order: 2"+timeout)+"router_settings: {cooldown_time: 0}\n", "--concurrency", "1")
			for _, body := range []string{ask, askStream} {
				got := s.post("/v1/chat/completions", body)
				if got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "2" {
					t.Errorf("answer = %d after %s attempts: %s", got.status, got.header.Get("X-Isthmus-Attempts"), got.body)
				}
			}
			if r, f, u := s.streams("request"), s.streams("failure"), s.streams("retry"); r != 2 || f != 2*tc.failure || u != 2 {
				t.Errorf("streams: request %d, failure %d, retry %d; want 2 %d 2", r, f, u, 2*tc.failure)
			}
			for _, c := range good.calls() {
				if c.header.Get("Content-Length") == "" || c.header.Get("X-Envoy-Attempt-Count") != "" {
					t.Errorf("headers of the second attempt: %v", c.header)
				}
			}
			s.idle()
		})
	}
}

func TestWhenEveryDeploymentFailsTheClientGetsTheLastRealError(t *testing.T) {
	limited := newProvider(t, failWith(429, "Retry-After", "7"))
	s := startStack(t, "model_list:\n"+
		entry("m", limited.base(), ", order: 1")+entry("m", refused(t), ", order: 2")+
		entry("alone", refused(t), "")+entry("bad", newProvider(t, failWith(400)).base(), "")+
		"router_settings: {num_retries: 1, cooldown_time: 0}\n")
	got := s.post("/v1/chat/completions", ask)
	if got.status != 429 || got.header.Get("Retry-After") != "7" || !strings.Contains(got.body, `"message":"scripted 429","type":"rate_limit_error"`) {
		t.Errorf("a real error before a refused one: %d %v %s", got.status, got.header, got.body)
	}
	got = s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"alone"`, 1))
	if got.status != 503 || !strings.Contains(got.body, `"code":"upstream_unavailable"`) || got.header.Get("X-Isthmus-Attempts") != "2" {
		t.Errorf("nobody answers: %d %v %s", got.status, got.header, got.body)
	}
	got = s.post("/v1/chat/completions", strings.Replace(ask, `"m"`, `"bad"`, 1))
	if got.status != 400 || got.header.Get("X-Isthmus-Attempts") != "1" || !strings.Contains(got.body, "scripted 400") {
		t.Errorf("the client's own error: %d %s", got.status, got.body)
	}
	s.idle()
}

func TestStreamsAreAskedForUsageAndTheClientSeesItOnlyWhenItAsked(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	plain := s.post("/v1/chat/completions", askStream)
	if strings.Contains(plain.body, "usage") || !strings.HasSuffix(plain.body, "data: [DONE]\n\n") || !strings.Contains(plain.body, `"Hel"`) {
		t.Errorf("a client that did not ask got:\n%s", plain.body)
	}
	asked := s.post("/v1/chat/completions", strings.Replace(askStream, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1))
	if !strings.Contains(asked.body, `"total_tokens":5`) {
		t.Errorf("a client that asked got:\n%s", asked.body)
	}
	for _, c := range p.calls() {
		if !strings.Contains(c.body, `"include_usage":true`) {
			t.Errorf("the provider was not asked for usage: %s", c.body)
		}
	}
	if kind := plain.header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content-type = %q", kind)
	}
}

func TestEnvoysAccessLogKnowsTheTokens(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", order: 2")+entry("m", newProvider(t, failWith(500)).base(), ", order: 1"),
		"--concurrency", "1") // several workers may write their lines in another order
	s.post("/v1/chat/completions", ask)
	s.post("/v1/chat/completions", askStream)
	s.post("/v1/chat/completions", `{"model":"nope","messages":[]}`)
	s.stop()
	text, err := os.ReadFile(s.accessLog)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 3 {
		t.Fatalf("the access log has %d lines:\n%s", len(lines), text)
	}
	for i, line := range lines {
		var e struct {
			ID, Model, Provider, Deployment string
			Prompt                          int `json:"prompt_tokens"`
			Completion                      int `json:"completion_tokens"`
			Total                           int `json:"total_tokens"`
			Attempts, Status                int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.ID == "" {
			t.Errorf("line %d has no exchange id: %s", i, line)
		}
		if i < 2 && (e.Model != "m" || e.Provider != "openai" || e.Prompt != 3 || e.Completion != 2 || e.Total != 5 || e.Status != 200 || e.Deployment == "") {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if !strings.Contains(lines[0], `"attempts":2`) {
		t.Errorf("the first request took two attempts: %s", lines[0])
	}
}

func TestAStreamThatTheClientLeavesEndsAtTheProvider(t *testing.T) {
	gone := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"))
		flush(w)
		<-r.Context().Done()
		close(gone)
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	req, err := http.NewRequest(http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.adminGet("/health"), `"in_flight":1`) {
		t.Errorf("while it runs: %s", s.adminGet("/health"))
	}
	_ = resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the provider's call goes on without a client")
	}
	s.idle()
	if line := s.settled(1)[0]; line["aborted"] != "client" { // which Envoy tells
		t.Errorf("the log does not say that the client left: %v", line)
	}
	if n := s.metric(`isthmus_requests_total{deployment="` + s.deployment() + `",endpoint="chat/completions",model_group="m",status="aborted"}`); n != 1 {
		t.Errorf("%v requests were aborted", n)
	}
}

// deployment is the id of the only deployment.
func (s *stack) deployment() string {
	s.t.Helper()
	var h struct{ Deployments []struct{ ID string } }
	if err := json.Unmarshal([]byte(s.adminGet("/health")), &h); err != nil {
		s.t.Fatal(err)
	}
	return h.Deployments[0].ID
}

func TestACutStreamNeverLooksWhole(t *testing.T) {
	const piece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
	seen := make(chan struct{})
	cut := newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
		flush(w)
		select {
		case <-seen:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	})
	early := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
		flush(w)
		panic(http.ErrAbortHandler)
	})
	short := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
	})
	s := startStack(t, "model_list:\n"+entry("m", cut.base(), "")+entry("early", early.base(), "")+entry("short", short.base(), ""))
	resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, len(piece))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != piece {
		t.Fatalf("the first piece is %q (%v)", first, err)
	}
	close(seen)
	if rest, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a cut stream ended cleanly with %q", rest)
	}
	_ = resp.Body.Close()

	// Cut at once: either it was noticed before the client got a byte, or after.
	got := s.post("/v1/chat/completions", strings.Replace(askStream, `"m"`, `"early"`, 1))
	if got.err == nil && (got.status < 500 || !strings.Contains(got.body, `{"error":{`)) {
		t.Errorf("a stream cut at once: %d %s", got.status, got.body)
	}
	got = s.post("/v1/chat/completions", strings.Replace(askStream, `"m"`, `"short"`, 1))
	if got.err != nil || !strings.Contains(got.body, `data: {"error":{`) || strings.Contains(got.body, "[DONE]") {
		t.Errorf("a stream that ends without finishing: %v\n%s", got.err, got.body)
	}
	s.idle()
}

func TestADeploymentWhoseHostDoesNotResolveIsLeftAloneAtOnce(t *testing.T) {
	good := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", "http://no-such-host.invalid/v1", ", order: 1")+entry("m", good.base(), ", order: 2")+"router_settings: {cooldown_time: 60}\n")
	s.post("/v1/chat/completions", ask) // Envoy has no host and does not retry
	if !strings.Contains(s.adminGet("/health"), `"cooldown_cause":"its host name does not resolve"`) {
		t.Errorf("after one request: %s", s.adminGet("/health"))
	}
	if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("the next request: %d %s", got.status, got.body)
	}
}

// TestACascadeLeavesOutTheOneDeploymentWhoseHostDoesNotResolve: Envoy does not go
// on from there by itself, so only the first request may fail for it.
func TestACascadeLeavesOutTheOneDeploymentWhoseHostDoesNotResolve(t *testing.T) {
	good := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", "http://no-such-host.invalid/v1", "")+entry("other", good.base(), "")+
		"router_settings: {cooldown_time: 60, fallbacks: [{m: [other]}]}\n")
	s.post("/v1/chat/completions", ask)
	if got := s.post("/v1/chat/completions", ask); got.status != 200 || got.header.Get("X-Isthmus-Model-Group") != "other" {
		t.Errorf("the next request: %d %s", got.status, got.body)
	}
}
