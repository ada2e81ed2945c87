package openai_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

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
			translatetest.Request(t, chat.Completions, `{"model":"m","messages":[],"stream":true}`),
			translatetest.Request(t, chat.Completions, `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`),
			translatetest.Request(t, chat.Responses, `{"model":"m","input":"x","stream":true}`),
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
		req := translatetest.Request(t, chat.Completions, `{"model":"m","messages":[]}`)
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
