package cli

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// usageStream is a stream whose usage its client asked for.
const usageStream = `{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}`

func TestAStreamThatNobodyReadsPassesUntouchedAndItsTokensAreCounted(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ", stream_passthrough: true"))
	direct, err := http.Post(p.base()+"/chat/completions", "application/json", strings.NewReader(usageStream))
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(direct.Body)
	_ = direct.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	got := s.post("/v1/chat/completions", usageStream)
	if got.status != 200 || got.body != string(want) {
		t.Errorf("%d:\n%s\nwant\n%s", got.status, got.body, want)
	}
	await(t, 20*time.Second, "Envoy has counted the tokens", func() bool {
		return strings.Contains(s.adminGet("/metrics"), `kind="completion",model_group="m"} 2`) && strings.Contains(s.stderr.String(), `"msg":"request"`)
	})
	if log := s.stderr.String(); !strings.Contains(log, `"prompt_tokens":3,"completion_tokens":2`) || strings.Contains(log, "aborted") || strings.Contains(log, "estimated") {
		t.Errorf("log:\n%s", log)
	}
	s.idle()
}

func TestTheLogSaysWhoEndedAStream(t *testing.T) {
	const piece = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
	for name, tc := range map[string]struct {
		body, want string
		timeout    int // seconds
		provider   func(w http.ResponseWriter, r *http.Request)
	}{
		"the provider breaks off":                      {askStream, "upstream", 60, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"the provider breaks off an unread stream":     {usageStream, "upstream", 60, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		"the provider stalls":                          {askStream, "timeout", 2, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		"the client leaves":                            {askStream, "client", 60, nil},
		"the client leaves a stream that nobody reads": {usageStream, "client", 60, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan struct{})
			p := newProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, piece)
				flush(w)
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
			s := startStack(t, "model_list:\n"+entry("m", p.base(), fmt.Sprintf(", timeout: %d, stream_passthrough: true", tc.timeout)), "--concurrency", "1")
			resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(tc.body))
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
			await(t, 20*time.Second, "the request is in the log", func() bool { return strings.Contains(s.stderr.String(), `"msg":"request"`) })
			if log := s.stderr.String(); !strings.Contains(log, fmt.Sprintf(`"aborted":%q`, tc.want)) {
				t.Errorf("want aborted %s:\n%s", tc.want, log)
			}
			s.idle()
		})
	}
}
