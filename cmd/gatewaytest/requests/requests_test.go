package requests

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

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestACleanRequestCostsOneStreamAndReachesTheProviderAsItWas(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", temperature: 0.5, max_tokens: 7"))
	got := s.Post("/v1/chat/completions",
		`{"model":"m", "seed":1.0e2,"unknown":[1, 2], "messages":[{"role":"user","content":"hé"}],"max_tokens":9,"num_retries":1}`,
		"Authorization", "Bearer client-canary", "X-Isthmus-Retry", "1", "X-Envoy-Max-Retries", "9", "Cookie", "canary=1", "X-Api-Key",
		"client-canary")
	if got.Status != 200 || got.Body != gatewaytest.GoodAnswer {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	for name, want := range map[string]string{"X-Isthmus-Attempts": "1", "X-Isthmus-Fallbacks": "0", "X-Isthmus-Model-Group": "m",
		"Content-Type": "application/json"} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("header %s = %q, want %q", name, v, want)
		}
	}
	calls := p.Calls()
	if len(calls) != 1 {
		t.Fatalf("the provider was asked %d times", len(calls))
	}
	const want = `{"model":"up", "seed":1.0e2,"unknown":[1, 2], "messages":[{"role":"user","content":"hé"}],"max_tokens":9,"temperature":0.5}`
	if calls[0].Body != want || calls[0].Path != "/v1/chat/completions" {
		t.Errorf("the provider got %s %s\nwant %s", calls[0].Path, calls[0].Body, want)
	}
	wantHeader := http.Header{
		"Authorization": {"Bearer sk-provider"}, "Content-Type": {"application/json"}, "Accept": {"application/json"},
		"Accept-Encoding": {"identity"}, "User-Agent": {"isthmus"}, "Content-Length": {strconv.Itoa(len(want))},
	}
	if diff := cmp.Diff(wantHeader, calls[0].Header); diff != "" {
		t.Errorf("headers at the provider (-want +got):\n%s", diff)
	}
	if r, f, u := s.Streams("request"), s.Streams("failure"), s.Streams("retry"); r != 1 || f != 0 || u != 0 {
		t.Errorf("streams: request %d, failure %d, retry %d; want 1 0 0", r, f, u)
	}
}

func TestAFailedDeploymentIsPassedOverForItsSister(t *testing.T) {
	for name, tc := range map[string]struct {
		bad             func(http.ResponseWriter, *http.Request, string)
		failure, status int // streams of the failure filter
	}{
		"it refuses the connection":   {nil, 0, 0},
		"it hangs before its headers": {gatewaytest.Hang, 0, 0},
		"it answers 500":              {gatewaytest.FailWith(500), 1, 500},
		"it answers 429":              {gatewaytest.FailWith(429, "Retry-After", "7"), 1, 429},
		"it answers 408":              {gatewaytest.FailWith(408), 1, 408},
		"it answers 409":              {gatewaytest.FailWith(409), 1, 409},
		"it resets the connection":    {func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, timeout := gatewaytest.RefusedAddress(t), ""
			if tc.bad != nil {
				base = gatewaytest.NewProvider(t, tc.bad).Base()
			}
			if strings.Contains(name, "hangs") { // where nothing hangs, a slow machine is no failure
				timeout = ", timeout: 2"
			}
			good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", base, ", order: 1"+timeout)+
				gatewaytest.Entry("m", good.Base(), ", order: 2"+timeout)+"router_settings: {cooldown_time: 0}\n", "--concurrency", "1")
			for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
				got := s.Post("/v1/chat/completions", body)
				if got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "2" {
					t.Errorf("answer = %d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
				}
			}
			if r, f, u := s.Streams("request"), s.Streams("failure"), s.Streams("retry"); r != 2 || f != 2*tc.failure || u != 2 {
				t.Errorf("streams: request %d, failure %d, retry %d; want 2 %d 2", r, f, u, 2*tc.failure)
			}
			for _, c := range good.Calls() {
				if c.Header.Get("Content-Length") == "" || c.Header.Get("X-Envoy-Attempt-Count") != "" {
					t.Errorf("headers of the second attempt: %v", c.Header)
				}
			}
			s.Idle()
		})
	}
}

func TestWhenEveryDeploymentFailsTheClientGetsTheLastRealError(t *testing.T) {
	limited := gatewaytest.NewProvider(t, gatewaytest.FailWith(429, "Retry-After", "7"))
	s := gatewaytest.Start(t, "model_list:\n"+
		gatewaytest.Entry("m", limited.Base(), ", order: 1")+gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), ", order: 2")+
		gatewaytest.Entry("alone", gatewaytest.RefusedAddress(t), "")+
		gatewaytest.Entry("bad", gatewaytest.NewProvider(t, gatewaytest.FailWith(400)).Base(), "")+
		"router_settings: {num_retries: 1, cooldown_time: 0}\n")
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got.Status != 429 || got.Header.Get("Retry-After") != "7" ||
		!strings.Contains(got.Body, `"message":"scripted 429","type":"rate_limit_error"`) {
		t.Errorf("a real error before a refused one: %d %v %s", got.Status, got.Header, got.Body)
	}
	got = s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"alone"`, 1))
	if got.Status != 503 || !strings.Contains(got.Body, `"code":"upstream_unavailable"`) || got.Header.Get("X-Isthmus-Attempts") != "2" {
		t.Errorf("nobody answers: %d %v %s", got.Status, got.Header, got.Body)
	}
	got = s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `"m"`, `"bad"`, 1))
	if got.Status != 400 || got.Header.Get("X-Isthmus-Attempts") != "1" || !strings.Contains(got.Body, "scripted 400") {
		t.Errorf("the client's own error: %d %s", got.Status, got.Body)
	}
	s.Idle()
}

func TestStreamsAreAskedForUsageAndTheClientSeesItOnlyWhenItAsked(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	plain := s.Post("/v1/chat/completions", gatewaytest.AskStream)
	if strings.Contains(plain.Body, "usage") || !strings.HasSuffix(plain.Body, "data: [DONE]\n\n") || !strings.Contains(plain.Body, `"Hel"`) {
		t.Errorf("a client that did not ask got:\n%s", plain.Body)
	}
	asked := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.AskStream, `"stream":true`,
		`"stream":true,"stream_options":{"include_usage":true}`, 1))
	if !strings.Contains(asked.Body, `"total_tokens":5`) {
		t.Errorf("a client that asked got:\n%s", asked.Body)
	}
	for _, c := range p.Calls() {
		if !strings.Contains(c.Body, `"include_usage":true`) {
			t.Errorf("the provider was not asked for usage: %s", c.Body)
		}
	}
	if kind := plain.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content-type = %q", kind)
	}
}

func TestEnvoysAccessLogKnowsTheTokens(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(
		t,
		"model_list:\n"+gatewaytest.Entry("m", p.Base(), ", order: 2")+
			gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1"),
		"--concurrency",
		"1",
	) // several workers may write their lines in another order
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	s.Post("/v1/chat/completions", gatewaytest.AskStream)
	s.Post("/v1/chat/completions", `{"model":"nope","messages":[]}`)
	s.Stop()
	text, err := os.ReadFile(s.AccessLog)
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
		if i < 2 &&
			(e.Model != "m" || e.Provider != "openai" || e.Prompt != 3 || e.Completion != 2 || e.Total != 5 || e.Status != 200 ||
				e.Deployment == "") {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if !strings.Contains(lines[0], `"attempts":2`) {
		t.Errorf("the first request took two attempts: %s", lines[0])
	}
}

func TestAStreamThatTheClientLeavesEndsAtTheProvider(t *testing.T) {
	gone := make(chan struct{})
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"))
		gatewaytest.Flush(w)
		<-r.Context().Done()
		close(gone)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	req, err := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(gatewaytest.AskStream))
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
	if !strings.Contains(s.AdminGet("/health"), `"in_flight":1`) {
		t.Errorf("while it runs: %s", s.AdminGet("/health"))
	}
	_ = resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the provider's call goes on without a client")
	}
	s.Idle()
	if line := s.RequestLog(1)[0]; line["aborted"] != "client" { // which Envoy tells
		t.Errorf("the log does not say that the client left: %v", line)
	}
	n := s.Metric(`isthmus_requests_total{deployment="` + deployment(s) + `",endpoint="chat/completions",model_group="m",status="aborted"}`)
	if n != 1 {
		t.Errorf("%v requests were aborted", n)
	}
}

// deployment is the id of the only deployment.
func deployment(s *gatewaytest.Gateway) string {
	s.T.Helper()
	var h struct{ Deployments []struct{ ID string } }
	if err := json.Unmarshal([]byte(s.AdminGet("/health")), &h); err != nil {
		s.T.Fatal(err)
	}
	return h.Deployments[0].ID
}

func TestACutStreamNeverLooksWhole(t *testing.T) {
	const piece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
	seen := make(chan struct{})
	cut := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
		gatewaytest.Flush(w)
		select {
		case <-seen:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	})
	early := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
		gatewaytest.Flush(w)
		panic(http.ErrAbortHandler)
	})
	short := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte(piece))
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", cut.Base(), "")+gatewaytest.Entry("early", early.Base(), "")+
		gatewaytest.Entry("short", short.Base(), ""))
	resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
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
	got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.AskStream, `"m"`, `"early"`, 1))
	if got.Err == nil && (got.Status < 500 || !strings.Contains(got.Body, `{"error":{`)) {
		t.Errorf("a stream cut at once: %d %s", got.Status, got.Body)
	}
	got = s.Post("/v1/chat/completions", strings.Replace(gatewaytest.AskStream, `"m"`, `"short"`, 1))
	if got.Err != nil || !strings.Contains(got.Body, `data: {"error":{`) || strings.Contains(got.Body, "[DONE]") {
		t.Errorf("a stream that ends without finishing: %v\n%s", got.Err, got.Body)
	}
	s.Idle()
}

func TestADeploymentWhoseHostDoesNotResolveIsLeftAloneAtOnce(t *testing.T) {
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", "http://no-such-host.invalid/v1", ", order: 1")+
		gatewaytest.Entry("m", good.Base(), ", order: 2")+"router_settings: {cooldown_time: 60}\n")
	s.Post("/v1/chat/completions", gatewaytest.Ask) // Envoy has no host and does not retry
	if !strings.Contains(s.AdminGet("/health"), `"cooldown_cause":"its host name does not resolve"`) {
		t.Errorf("after one request: %s", s.AdminGet("/health"))
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Attempts") != "1" {
		t.Errorf("the next request: %d %s", got.Status, got.Body)
	}
}

// TestACascadeLeavesOutTheOneDeploymentWhoseHostDoesNotResolve: Envoy does not go
// on from there by itself, so only the first request may fail for it.
func TestACascadeLeavesOutTheOneDeploymentWhoseHostDoesNotResolve(t *testing.T) {
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", "http://no-such-host.invalid/v1", "")+
		gatewaytest.Entry("other", good.Base(), "")+"router_settings: {cooldown_time: 60, fallbacks: [{m: [other]}]}\n")
	s.Post("/v1/chat/completions", gatewaytest.Ask)
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Header.Get("X-Isthmus-Model-Group") != "other" {
		t.Errorf("the next request: %d %s", got.Status, got.Body)
	}
}
