package gemini_test

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
	for _, seed := range []string{
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:,x"}]}],"stop":["a"],"generationConfig":{"a":1}}`,
		`{"messages":[{"role":"assistant","content":"t","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"a","content":"{}"}],"tools":[{"googleSearch":{}}]}`,
		`{"messages":[{"role":"system","content":"s"}],"extra_body":{"google":{"thinking_config":{}}},"audio":{},"modalities":[],"thinking":{},"reasoning_effort":"low"}`,
		`{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":["string","null"]}}}],"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		req, err := chat.Parse(chat.Completions, []byte(body), "m")
		if err != nil {
			t.Skip()
		}
		for _, model := range []string{"gemini-1.5-pro", "gemini-3-pro-preview"} {
			call, err := bind(t, upstream.Target{Model: model, DropParams: true, AllowAlso: []string{"a"}}).Request(req)
			if err != nil {
				refusal(t, err)
			} else if !jsontext.Value(call.Body).IsValid() {
				t.Errorf("%s: invalid body: %s", model, call.Body)
			}
		}
	})
}

// FuzzDecoder: no answer, cut anywhere, breaks a decoder, and how it is cut does
// not show.
func FuzzDecoder(f *testing.F) {
	f.Add(`data: {"candidates":[{"content":{"parts":[{"text":"ä"},{"functionCall":{"name":"f"}},{"inlineData":{"mimeType":"image/png"}}]},"finishReason":"STOP"}]}`+"\r\n\r\n", 20)
	f.Add(`{"candidates":[{"index":3,"logprobsResult":{"chosenCandidates":[{"token":"a"}],"topCandidates":[{"candidates":[{},{}]}]}}],"usageMetadata":{}}`, 9)
	f.Add(`{"embeddings":[{"values":[1e400]}]}`, 5)
	f.Add("data: {\"error\":\"x\"}\n\n", 3)
	f.Fuzz(func(t *testing.T, answer string, cut int) {
		cut = min(max(cut, 0), len(answer))
		for _, request := range []*chat.Request{parse(t, chat.Completions, streaming), parse(t, chat.Completions, blocking), parse(t, chat.Embeddings, `{"input":"a"}`), parse(t, chat.TextCompletions, `{"prompt":"a","stream":true}`)} {
			whole := feed(t, request, answer, "")
			if halves := feed(t, request, answer[:cut], answer[cut:]); halves != whole {
				t.Errorf("%s cut at %d:\n%s\nwhole:\n%s", request.Endpoint, cut, halves, whole)
			}
			if whole == "" {
				continue
			}
			if !request.Stream {
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

func feed(t *testing.T, req *chat.Request, pieces ...string) string {
	d := bind(t, upstream.Target{}).Decoder(req, upstream.Head{Status: 200})
	var out []byte
	for i, piece := range pieces {
		out = append(out, d.Feed([]byte(piece), i == len(pieces)-1)...)
	}
	if d.Feed([]byte("data: {}\n\n"), true) != nil {
		t.Error("output after the end")
	}
	_ = d.Result()
	return volatile.ReplaceAllStringFunc(string(out), func(found string) string {
		if strings.HasPrefix(found, "\"") {
			return `"created":0`
		}
		return "*"
	})
}
