package anthropic_test

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
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:,x"},{"type":"document","title":"t"}]}],"stop":["a"],"output_config":{"a":1},"user":"u"}`,
		`{"messages":[{"role":"assistant","content":"t ","tool_calls":[{"id":"a.","function":{"name":"f."}}]},{"role":"tool","tool_call_id":"a.","content":["{}"],"cache_control":{}}],"tools":[{"type":"bash_20250124","name":"bash"}]}`,
		`{"messages":[{"role":"system","content":"s","cache_control":{}}],"extra_body":{"top_k":1,"a":2},"web_search_options":{"user_location":{"city":"x"}},"reasoning_effort":"low"}`,
		`{"messages":[{"role":"assistant","thinking_blocks":[{"type":"thinking","signature":"s"}],"cache_control":{}}],"tools":[{"type":"function","function":{"name":"é","strict":true,"parameters":{"oneOf":[{}],"anyOf":[true]}}}],
			"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{"a":{"minimum":1,"description":"d"}}}}}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		req, err := chat.Parse(chat.Completions, []byte(body), "m")
		if err != nil {
			t.Skip()
		}
		for _, model := range []string{"claude-sonnet-4-20250514", "claude-opus-4-7"} {
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
	f.Add(events(begin, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"json_tool_call","input":{"a":1,"a":2}}}`, end, over), 20)
	f.Add(events(`{"type":"content_block_start","content_block":{"type":"x","content":[{"a":1,"a":2}]}}`, `{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"ä":1}}}`), 90)
	f.Add(events(`{"type":"content_block_start","content_block":{"type":"thinking","thinking":"a","signature":"s"}}`, end, over), 33)
	f.Add(reply(`{"type":"text","text":"ä","citations":[1,2]},{"type":"tool_use","name":"f"},{"type":"server_tool_use","input":{}}`, "tool_use"), 9)
	f.Add(events(`{"type":"error","error":{"type":"api_error"}}`), 3)
	f.Fuzz(func(t *testing.T, answer string, cut int) {
		cut = min(max(cut, 0), len(answer))
		for _, request := range []*chat.Request{
			parse(t, chat.Completions, streaming), parse(t, chat.Completions, blocking), parse(t, chat.Completions, schema+`,"stream":true}`), parse(t, chat.TextCompletions, `{"prompt":"a","stream":true}`),
		} {
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
	d := bind(t, upstream.Target{Model: older}).Decoder(req, upstream.Head{Status: 200})
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
