package providers

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// lingers answers every stream with these pieces at once, and then neither says more nor
// ends.
func lingers(kind, pieces string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, _ string) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, pieces)
		gatewaytest.Flush(w)
		<-r.Context().Done()
	}
}

// TestAStreamThatDoesNotEndIsWhatItHasSaid: a provider that keeps the connection open
// behind its last word has answered, and one that does so behind its error has failed
// with that error. Only what stops before is a stall.
func TestAStreamThatDoesNotEndIsWhatItHasSaid(t *testing.T) {
	const (
		events = "text/event-stream"
		lines  = "application/x-ndjson"
		chunk  = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hel"}}]}` + "\n\n"
		stop   = `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
		done   = "data: [DONE]\n\n"
		failed = `data: {"error":{"message":"boom","type":"server_error","code":503}}` + "\n\n"
		claude = `data: {"type":"message_start","message":{"id":"m","model":"c","usage":{"input_tokens":3,"output_tokens":1}}}` + "\n\n" +
			`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n" +
			`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hel"}}` + "\n\n"
		created = `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress"}}` + "\n\n" +
			`data: {"type":"response.output_text.delta","sequence_number":1,"delta":"Hel"}` + "\n\n"
	)
	for name, tc := range map[string]struct {
		model, path, kind, says string
		end                     string // of what the client gets
		code                    string // in the log; "": it is a success
	}{
		"a chat behind [DONE]":            {"openai/x", "chat/completions", events, chunk + stop + done, done, ""},
		"a chat behind its finish reason": {"openai/x", "chat/completions", events, chunk + stop, done, ""},
		"a chat behind its error":         {"openai/x", "chat/completions", events, chunk + failed, `"code":"503"}}` + "\n\n", "503"},
		"a chat in the middle": {"openai/x", "chat/completions", events, chunk,
			`"code":"stream_timeout"}}` + "\n\n", "stream_timeout"},
		"Anthropic's behind message_stop": {"anthropic/x", "chat/completions", events, claude +
			`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}` + "\n\n" +
			`data: {"type":"message_stop"}` + "\n\n", done, ""},
		"Anthropic's behind its error": {"anthropic/x", "chat/completions", events, claude +
			`data: {"type":"error","error":{"type":"overloaded_error","message":"boom"}}` + "\n\n", `"code":null}}` + "\n\n", "overloaded_error"},
		"Gemini's behind its finish reason": {"gemini/x", "chat/completions", events,
			`data: {"candidates":[{"index":0,"content":{"parts":[{"text":"Hel"}]},"finishReason":"STOP"}]}` + "\r\n\r\n", done, ""},
		"Ollama's behind done": {"ollama_chat/x", "chat/completions", lines,
			`{"message":{"role":"assistant","content":"Hel"},"done":true,"done_reason":"stop"}` + "\n", done, ""},
		"Ollama's behind its error": {"ollama_chat/x", "chat/completions", lines,
			`{"message":{"role":"assistant","content":"Hel"},"done":false}` + "\n" + `{"error":"boom"}` + "\n",
			`"code":null}}` + "\n\n", "server_error"},
		"a response behind its end": {"openai/x", "responses", events, created +
			`data: {"type":"response.completed","sequence_number":2,"response":{"id":"resp_1","status":"completed"}}` + "\n\n",
			`"status":"completed"}}` + "\n\n", ""},
		"a response behind its failure": {"openai/x", "responses", events, created +
			`data: {"type":"response.failed","sequence_number":2,"response":{"status":"failed",` +
			`"error":{"code":"server_error","message":"boom"}}}` + "\n\n", `"message":"boom"}}}` + "\n\n", "server_error"},
		"a response in the middle": {"openai/x", "responses", events, created, `"sequence_number":3}` + "\n\n", "stream_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := gatewaytest.NewProvider(t, lingers(tc.kind, tc.says))
			base := p.Base()
			if !strings.HasPrefix(tc.model, "openai/") {
				base = p.URL
			}
			s := gatewaytest.Start(t, fmt.Sprintf("model_list:\n- model_name: m\n  litellm_params: {model: %q, api_base: %q, api_key: k, "+
				"stream_idle_timeout: 2}\nrouter_settings: {stream_failover: false}\n", tc.model, base), "--concurrency", "1")
			body := gatewaytest.AskStream
			if tc.path == "responses" {
				body = `{"model":"m","input":"hi","stream":true}`
			}
			got := s.Post("/v1/"+tc.path, body)
			errors := strings.Count(got.Body, `"error":{`)
			if got.Status != 200 || got.Err != nil || !strings.HasSuffix(got.Body, tc.end) || errors > 1 && tc.path != "responses" {
				t.Errorf("answer = %d (%v) %s\nwant the end %s", got.Status, got.Err, got.Body, tc.end)
			}
			s.Idle()
			line := s.RequestLog(1)[0]
			if code := cmpText(line["code"], line["error"]); code != tc.code {
				t.Errorf("code = %q, want %q: %v", code, tc.code, line)
			}
			if stalled := line["aborted"] == "timeout"; stalled != (tc.code == "stream_timeout") {
				t.Errorf("aborted = %v", line["aborted"])
			}
		})
	}
}

// cmpText is the first of the values that is a text and not empty.
func cmpText(values ...any) string {
	for _, v := range values {
		if s, _ := v.(string); s != "" {
			return s
		}
	}
	return ""
}
