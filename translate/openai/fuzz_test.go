package openai_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// FuzzRequest: whatever valid request comes in, a valid body goes out, or an
// error for the client.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"model":"m","messages":[{"role":"developer","content":[{"type":"image_url","image_url":"data:,x"},{"type":"file","file":{"file_data":"x"}}],"cache_control":{}}],"tool_choice":"auto","max_tokens":1,"max_completion_tokens":null}`,
		`{"model":"m","messages":[{"role":"tool","content":[{"type":"image_url","image_url":{"url":"a","format":"b"}}]}],"tools":[{"function":{"cache_control":1}}],"stream":true,"stream_options":{"a":1},"extra_body":{"a":1,"stream":false,"model":"x"}}`,
		`{"model":"m","messages":"x","extra_body":{"a":1},"a":2,"stream":true,"stream_options":null,"temperature":null}`,
	} {
		f.Add(seed)
	}
	defaults := []upstream.Param{{Name: "temperature", Value: jsontext.Value("0")}, {Name: "max_tokens", Value: jsontext.Value("9")}, {Name: "extra_body", Value: jsontext.Value(`{"top_k":1,"temperature":1}`)}}
	f.Fuzz(func(t *testing.T, body string) {
		for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions, chat.Responses} {
			req, err := chat.Parse(endpoint, []byte(body), "")
			if err != nil {
				continue
			}
			for _, target := range []upstream.Target{{Model: "o3", Defaults: defaults, DropParams: true}, {BaseURL: "http://vllm/v1", CustomBase: true, DropAlso: []string{"a"}}} {
				call, err := bind(t, target).Request(req)
				if err != nil {
					refusal(t, err)
				} else if !jsontext.Value(call.Body).IsValid() {
					t.Errorf("invalid body: %s", call.Body)
				}
			}
		}
	})
}

// FuzzStreamDecoder: no stream, cut anywhere, breaks a decoder; how it is cut
// does not show; and a client that hears of no failure sees [DONE] once, at the
// end.
func FuzzStreamDecoder(f *testing.F) {
	for _, seed := range []string{
		stream(chunk(`"delta":{"role":"assistant","content":"é"}`), chunk(`"delta":{},"finish_reason":"stop"`), counts, "[DONE]"),
		"data: {\"choices\":[{\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}}\r\n\r\n: comment\r\n\r\ndata: [DONE]",
		"data: {\"error\":{\"message\":\"m\"}}\n\ndata: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
		"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n: end",
		"\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}",
		"data: {\"object\":\"error\",\"message\":\"m\"}\n\ndata: x\n\ndata: {\"a\":",
	} {
		f.Add(seed, 9, 30)
	}
	f.Fuzz(func(t *testing.T, text string, a, b int) {
		a = min(max(a, 0), len(text))
		b = min(max(b, a), len(text))
		for _, req := range []*chat.Request{
			parse(t, chat.Completions, `{"model":"m","messages":[],"stream":true}`),
			parse(t, chat.Completions, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`),
			parse(t, chat.Responses, `{"model":"m","input":"x","stream":true}`),
		} {
			whole, result := feed(t, req, eventStream, text)
			cut, same := feed(t, req, eventStream, text[:a], text[a:b], text[b:])
			if cut != whole {
				t.Errorf("cut at %d and %d:\n%q\nwhole:\n%q", a, b, cut, whole)
			}
			if diff := cmp.Diff(result, same); diff != "" {
				t.Errorf("cut at %d and %d (-whole +cut):\n%s", a, b, diff)
			}
			if req.Endpoint == chat.Completions && result.Failure == nil && !endsWithDone(whole) {
				t.Errorf("no [DONE] at the end of %q", whole)
			}
		}
	})
}

// endsWithDone reports whether the last event with data of a stream is [DONE].
func endsWithDone(text string) bool {
	var r sse.Reader
	r.Feed([]byte(text))
	var last []byte
	for e, ok := r.Next(); ok; e, ok = r.Next() {
		if e.Data != nil {
			last = bytes.Clone(e.Data)
		}
	}
	return string(last) == "[DONE]" && len(r.Pending()) == 0
}

// FuzzBlockingDecoder: a blocking answer is relayed byte for byte, and how it is
// cut does not show in what is read of it.
func FuzzBlockingDecoder(f *testing.F) {
	f.Add(`{"id":"1","model":"m","usage":{"prompt_tokens":1,"completion_tokens":2},"choices":[{"usage":{"prompt_tokens":9}}]}`, 20)
	f.Add(`{"usage":null,"id":"\u00e9","usage":{"input_tokens":3}`, 3)
	f.Fuzz(func(t *testing.T, text string, cut int) {
		cut = min(max(cut, 0), len(text))
		req := parse(t, chat.Completions, `{"model":"m","messages":[]}`)
		whole, result := feed(t, req, plainJSON, text)
		halves, same := feed(t, req, plainJSON, text[:cut], text[cut:])
		if whole != text || halves != text {
			t.Errorf("relayed %q and %q, want %q", whole, halves, text)
		}
		if diff := cmp.Diff(result, same); diff != "" {
			t.Errorf("cut at %d (-whole +cut):\n%s", cut, diff)
		}
	})
}
