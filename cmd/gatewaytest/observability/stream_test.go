package observability

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestAStreamThatNobodyReadsPassesUntouchedAndItsTokensAreCounted(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", stream_passthrough: true"))
	direct, err := http.Post(p.Base()+"/chat/completions", "application/json", strings.NewReader(gatewaytest.UsageStream))
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(direct.Body)
	_ = direct.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	got := s.Post("/v1/chat/completions", gatewaytest.UsageStream)
	if got.Status != 200 || got.Body != string(want) {
		t.Errorf("%d:\n%s\nwant\n%s", got.Status, got.Body, want)
	}
	asynctest.Await(t, "Envoy has counted the tokens", func() bool {
		return strings.Contains(s.AdminGet("/metrics"), `kind="completion",model_group="m"} 2`) &&
			strings.Contains(s.Stderr.String(), `"msg":"request"`)
	})
	log := s.Stderr.String()
	if !strings.Contains(log, `"prompt_tokens":3,"completion_tokens":2`) || strings.Contains(log, "aborted") ||
		strings.Contains(log, "estimated") {
		t.Errorf("log:\n%s", log)
	}
	s.Idle()
}

// TestTheFirstTokenIsNotTheHeaders has a provider that sends its headers at once, as
// llama.cpp's server does: what the client waits from then on is known to be in the time
// to the first token, and not in that to the first byte.
func TestTheFirstTokenIsNotTheHeaders(t *testing.T) {
	for name, tc := range map[string]struct{ body, opening string }{
		"of a stream that is read": {gatewaytest.AskStream,
			": comment\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"},
		"of a stream that Envoy carries": {gatewaytest.UsageStream, ""},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan struct{})
			p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, tc.opening)
				gatewaytest.Flush(w)
				select {
				case <-seen:
					gatewaytest.OpenAI(w, r, body)
				case <-r.Context().Done():
				}
			})
			// With stream_failover the headers would wait for the content.
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", stream_passthrough: true")+
				"router_settings: {stream_failover: false}\n", "--concurrency", "1")
			resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, len(tc.opening))); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for range 20 { // something that takes its time
				s.Get("/v1/models")
			}
			waited := time.Since(began).Milliseconds()
			close(seen)
			if err := gatewaytest.Drain(resp); err != nil {
				t.Fatal(err)
			}
			var line map[string]any
			for _, l := range s.RequestLog(21) {
				if l["stream"] == true {
					line = l
				}
			}
			first, _ := line["ms_first_byte"].(float64)
			token, _ := line["ms_first_token"].(float64)
			if int64(token) < int64(first)+waited-2 { // each is rounded down
				t.Errorf("the headers came after %v ms, and the client waited %d ms more; the first token is said to have come after %v ms",
					first, waited, token)
			}
			s.Idle()
		})
	}
}

func TestTheLogSaysWhoEndedAStream(t *testing.T) {
	const piece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
	for name, tc := range map[string]struct {
		body, want string
		timeout    int // seconds
		provider   func(w http.ResponseWriter, r *http.Request)
	}{
		"the provider breaks off": {gatewaytest.AskStream, "upstream", 60,
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"the provider breaks off an unread stream": {gatewaytest.UsageStream, "upstream", 60,
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"the provider stalls": {gatewaytest.AskStream, "timeout", 2,
			func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"the client leaves":                            {gatewaytest.AskStream, "client", 60, nil},
		"the client leaves a stream that nobody reads": {gatewaytest.UsageStream, "client", 60, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan struct{})
			p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, piece)
				gatewaytest.Flush(w)
				select {
				case <-seen:
				case <-r.Context().Done():
					return
				}
				if tc.provider != nil {
					tc.provider(w, r)
				}
				<-r.Context().Done()
			})
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(),
				fmt.Sprintf(", timeout: %d, stream_passthrough: true", tc.timeout)), "--concurrency", "1")
			resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, len(piece))); err != nil {
				t.Fatal(err)
			}
			close(seen)
			if tc.provider == nil {
				_ = resp.Body.Close()
			} else {
				_, _ = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			asynctest.Await(t, "the request is in the log",
				func() bool { return strings.Contains(s.Stderr.String(), `"msg":"request"`) })
			if log := s.Stderr.String(); !strings.Contains(log, fmt.Sprintf(`"aborted":%q`, tc.want)) {
				t.Errorf("want aborted %s:\n%s", tc.want, log)
			}
			s.Idle()
		})
	}
}
