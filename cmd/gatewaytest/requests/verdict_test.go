package requests

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// inChunks answers with a document that does not say how long it is, as providers do
// that stand behind a proxy.
func inChunks(pieces ...string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
			gatewaytest.Flush(w)
		}
	}
}

// TestADocumentInChunksIsWhatItIs, for the client, the log and the deployment, on each
// Envoy; one that is longer than Envoy's buffer passes as it comes.
func TestADocumentInChunksIsWhatItIs(t *testing.T) {
	good := gatewaytest.GoodAnswer
	long := `{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"`
	page := strings.Repeat("a", 64<<10)
	pages := append([]string{long}, make([]string, 64)...)
	for i := range 64 {
		pages[i+1] = page
	}
	pages = append(pages, `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`)
	cases := map[string]struct {
		pieces []string
		status int
		code   string
	}{
		"good":   {[]string{good[:30], good[30:]}, 200, ""},
		"space":  {[]string{"\n", " \n", good}, 200, ""},
		"long":   {pages, 200, ""},
		"noise":  {[]string{"\x00\x8f\x17", " {}"}, 502, "invalid_answer"},
		"hollow": {[]string{"{", "}"}, 502, "invalid_answer"},
		"none":   {[]string{`{"choices":`, `[]}`}, 502, "invalid_answer"},
		"list":   {[]string{"[]"}, 502, "invalid_answer"},
		"error":  {[]string{`{"error":{"message":"slow down",`, `"code":429}}`}, 429, "429"},
		"torn":   {[]string{good[:40]}, 502, "incomplete_answer"},
	}
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			config := "model_list:\n"
			for name, tc := range cases {
				config += gatewaytest.Entry(name, gatewaytest.NewProvider(t, inChunks(tc.pieces...)).Base(), "")
			}
			s := gatewaytest.Start(t, config+"router_settings: {num_retries: 0}\ngeneral_settings: {max_request_body_bytes: 1048576}\n",
				"--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			asked := 0
			for name, tc := range cases {
				got := s.Post("/v1/chat/completions", gatewaytest.ForModel(name, gatewaytest.Ask))
				asked++
				if got.Err != nil || got.Status != tc.status {
					t.Errorf("%s: %d (%v) %.300s", name, got.Status, got.Err, got.Body)
					continue
				}
				if tc.code == "" {
					if want := strings.Join(tc.pieces, ""); got.Body != want {
						t.Errorf("%s: %d bytes, want %d", name, len(got.Body), len(want))
					}
				} else if _, code, _, _ := gatewaytest.ErrorOf(t, got); code != tc.code {
					t.Errorf("%s: %s", name, got.Body)
				}
				line := s.RequestLog(asked)[asked-1]
				if line["status"] != float64(tc.status) || (line["error"] == nil) != (tc.code == "") || line["aborted"] != nil {
					t.Errorf("%s: log = %v", name, line)
				}
			}
			s.Idle()
		})
	}
}

// TestAnErrorThatIsHeldOpenDoesNotHoldTheRequest: its headers decide after a moment, and
// another deployment answers where they say that it may.
func TestAnErrorThatIsHeldOpenDoesNotHoldTheRequest(t *testing.T) {
	held := func(status int) *gatewaytest.Provider {
		return gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":{"mess`)
			gatewaytest.Flush(w)
			<-r.Context().Done()
		})
	}
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			config := "model_list:\n"
			for _, status := range []int{503, 400} {
				base := held(status).Base()
				config += gatewaytest.Entry(fmt.Sprintf("alone-%d", status), base, "") +
					gatewaytest.Entry(fmt.Sprintf("two-%d", status), base, ", order: 1") +
					gatewaytest.Entry(fmt.Sprintf("two-%d", status), good.Base(), ", order: 2")
			}
			s := gatewaytest.Start(t, config+"router_settings: {num_retries: 1, retry_after: 0}\n", "--envoy", envoytest.Envoy(t, release).Path,
				"--concurrency", "1")
			var asking sync.WaitGroup
			for model, status := range map[string]int{"alone-503": 503, "alone-400": 400, "two-400": 400, "two-503": 200} {
				asking.Go(func() {
					got := s.Post("/v1/chat/completions", gatewaytest.ForModel(model, gatewaytest.AskStream))
					if got.Err != nil || got.Status != status {
						t.Errorf("%s: %d (%v) %s, want %d", model, got.Status, got.Err, got.Body, status)
					} else if status != 200 {
						gatewaytest.ErrorOf(t, got)
					}
				})
			}
			asking.Wait()
			s.Idle()
		})
	}
}

// TestAStreamWhoseProviderResetsItBehindItsLastEventWasWhole, whichever Envoy reads it.
func TestAStreamWhoseProviderResetsItBehindItsLastEventWasWhole(t *testing.T) {
	const text = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n" +
		"data: [DONE]\n\n"
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			read := make(chan struct{}) // closed when the client has the last event
			p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, text)
				gatewaytest.Flush(w)
				<-read
				panic(http.ErrAbortHandler)
			})
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""), "--envoy", envoytest.Envoy(t, release).Path,
				"--concurrency", "1")
			resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
			if err != nil {
				close(read)
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got := make([]byte, len(text))
			_, err = io.ReadFull(resp.Body, got)
			close(read)
			if err != nil || string(got) != text {
				t.Errorf("the client gets %q, %v", got, err)
			}
			_ = gatewaytest.Drain(resp) // it is cut, or ends
			if line := s.RequestLog(1)[0]; line["aborted"] != nil || line["error"] != nil || line["status"] != 200.0 {
				t.Errorf("log = %v", line)
			}
			s.Idle()
		})
	}
}
