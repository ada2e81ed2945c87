package ollama_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// FuzzRequest: whatever valid request comes in, a valid body goes out, or an
// error for the client.
func FuzzRequest(f *testing.F) {
	f.Add(`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:;base64,x"}]}],"stop":["a"],"options":{"a":1}}`)
	f.Add(`{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"a","content":"{}"}],"functions":[{"name":"f"}]}`)
	f.Add(`{"messages":[],"tools":[{"function":{"name":"f"}}],"thinking":{},"response_format":{"type":"json_object"},"think":true,"model":"x"}`)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := chat.Parse(chat.Completions, []byte(body), "m")
		if err != nil {
			t.Skip()
		}
		call, err := bind(t, upstream.Target{DropParams: true, AllowAlso: []string{"model", "options"}}).Request(req)
		if err != nil {
			refusal(t, err)
		} else if !jsontext.Value(call.Body).IsValid() {
			t.Errorf("invalid body: %s", call.Body)
		}
	})
}

// FuzzDecoder: no answer, cut anywhere, breaks a decoder, and how it is cut does
// not show.
func FuzzDecoder(f *testing.F) {
	f.Add(`{"message":{"content":"ä","tool_calls":[{"function":{"arguments":"x"}}]},"done":true,"logprobs":[{"token":"a"}]}`+"\r\n", 20)
	f.Add("{\"error\":\"x\"}\n{}", 3)
	f.Add(`{"embeddings":[[1e400],[]]}`, 5)
	f.Fuzz(func(t *testing.T, answer string, cut int) {
		cut = min(max(cut, 0), len(answer))
		for _, request := range []*chat.Request{parse(t, chat.Completions, streaming), parse(t, chat.Completions, blocking), parse(t, chat.Embeddings, `{"input":"a"}`), parse(t, chat.TextCompletions, `{"prompt":"a","stream":true}`)} {
			whole, _ := feed(t, request, answer)
			if halves, _ := feed(t, request, answer[:cut], answer[cut:]); halves != whole {
				t.Errorf("%s cut at %d:\n%s\nwhole:\n%s", request.Endpoint, cut, halves, whole)
			}
			if whole != "" && !request.Stream {
				whole = "data: " + whole + "\n\n"
			}
			for _, event := range strings.SplitAfter(whole, "\n\n") {
				data := strings.TrimSuffix(strings.TrimPrefix(event, "data: "), "\n\n")
				if event != "" && data != "[DONE]" && !jsontext.Value(data).IsValid() {
					t.Errorf("invalid event %q", event)
				}
			}
		}
	})
}
