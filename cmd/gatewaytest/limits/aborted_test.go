package limits

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// abandoned is a stream of about a thousand tokens that a provider begins, and what it
// is asked for.
type abandoned struct {
	params, path, body, contentType string
	opening, piece, text            string // piece has one text in it, and comes a hundred times
}

// tenTokens is a text of ten tokens.
const tenTokens = "The quick brown fox jumps over the lazy dog. "

func abandonedStreams() map[string]abandoned {
	const sse = "text/event-stream"
	chat, legacy := "/v1/chat/completions", `{"model":"m","prompt":"hi","stream":true}`
	responses := `{"model":"m","input":"hi","stream":true}`
	return map[string]abandoned{
		"anthropic": {
			"model: anthropic/claude-sonnet-4-5, api_base: %q", chat, gatewaytest.AskStream, sse,
			`data: {"type":"message_start","message":{"id":"m","type":"message","usage":{"input_tokens":5,"output_tokens":1}}}` + "\n\n" +
				`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n",
			`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + tenTokens + `"}}` + "\n\n", tenTokens,
		},
		"gemini": {
			"model: gemini/gemini-2.5-flash, api_base: %q", chat, gatewaytest.AskStream, sse, "",
			`data: {"candidates":[{"content":{"parts":[{"text":"` + tenTokens + `"}]}}],` +
				`"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}}` + "\n\n", tenTokens,
		},
		"ollama": {
			"model: ollama/llama3, api_base: %q", chat, gatewaytest.AskStream, "application/x-ndjson", "",
			`{"message":{"content":"` + tenTokens + `"},"done":false}` + "\n", tenTokens,
		},
		"openai chat": {
			"model: openai/gpt-4o, api_base: %q", chat, gatewaytest.AskStream, sse, "",
			`data: {"id":"c","choices":[{"index":0,"delta":{"content":"` + tenTokens + `"}}]}` + "\n\n", tenTokens,
		},
		"openai completions": {
			"model: openai/gpt-4o, api_base: %q", "/v1/completions", legacy, sse, "",
			`data: {"id":"c","choices":[{"index":0,"text":"` + tenTokens + `"}]}` + "\n\n", tenTokens,
		},
		"openai responses": {
			"model: openai/gpt-4o, api_base: %q", "/v1/responses", responses, sse,
			`data: {"type":"response.created","response":{"id":"r"}}` + "\n\n",
			`data: {"type":"response.output_text.delta","delta":"` + tenTokens + `"}` + "\n\n", tenTokens,
		},
	}
}

// TestStreamsThatEndEarlyReachTheLimits lets a client take a thousand tokens of each
// stream before the provider has said what they cost. Then the one or the other leaves.
func TestStreamsThatEndEarlyReachTheLimits(t *testing.T) {
	for name, a := range abandonedStreams() {
		for _, by := range []string{"client", "upstream"} {
			t.Run(name+" left by the "+by, func(t *testing.T) {
				t.Parallel()
				taken := make(chan struct{}) // the provider of a stream may break off
				p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, _ string) {
					w.Header().Set("Content-Type", a.contentType)
					_, _ = io.WriteString(w, a.opening+strings.Repeat(a.piece, 100))
					gatewaytest.Flush(w)
					select {
					case <-taken:
						panic(http.ErrAbortHandler)
					case <-r.Context().Done():
					}
				})
				s := gatewaytest.Start(t, "model_list:\n- {model_name: m, litellm_params: {"+fmt.Sprintf(a.params, p.URL)+
					", api_key: k, otpm: 2000}}\nrouter_settings: {num_retries: 0, disable_cooldowns: true}\n", "--concurrency", "1")
				for n := range 10 {
					resp, err := http.Post(s.URL+a.path, "application/json", strings.NewReader(a.body))
					if err != nil {
						t.Fatal(err)
					}
					if resp.StatusCode == http.StatusTooManyRequests {
						if _ = gatewaytest.Drain(resp); n == 0 { // what the next may use is estimated
							t.Error("the first stream is refused")
						}
						expectEstimates(t, s, n, by)
						return
					}
					takeTexts(t, resp, a.text, 100)
					if by == "upstream" {
						taken <- struct{}{}
						_, _ = io.Copy(io.Discard, resp.Body)
					}
					_ = resp.Body.Close()
					s.RequestLog(n + 1)
				}
				t.Errorf("ten streams of a thousand tokens pass an otpm of 2000:\n%v", s.RequestLog(10))
			})
		}
	}
}

// takeTexts reads an answer until a text has come so often.
func takeTexts(t *testing.T, resp *http.Response, text string, times int) {
	t.Helper()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	var got strings.Builder
	piece := make([]byte, 4<<10)
	for strings.Count(got.String(), strings.TrimSpace(text)) < times {
		n, err := resp.Body.Read(piece)
		if got.Write(piece[:n]); err != nil {
			t.Fatalf("%v after %s", err, got.String())
		}
	}
}

// expectEstimates wants the tokens of the streams that were left, marked as estimated, and
// who left them.
func expectEstimates(t *testing.T, s *gatewaytest.Gateway, streams int, by string) {
	t.Helper()
	asynctest.Await(t, "all have their lines", func() bool { return len(s.Logged(t, "request")) == streams+1 })
	for _, line := range s.Logged(t, "request")[:streams] {
		if n, _ := line["completion_tokens"].(float64); n < 800 || n > 1300 || line["estimated"] != true || line["aborted"] != by {
			t.Errorf("%v", line)
		}
	}
}
