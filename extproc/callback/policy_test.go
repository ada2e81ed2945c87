package callback

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestShorten(t *testing.T) {
	long := strings.Repeat("palavra ", 200)
	pixels := strings.Repeat("iVBORw0KGgo", 500)
	for _, c := range []struct {
		name, in string
		limit    int
		check    func(string) bool
	}{
		{"a short value stays as it is, number text included", `{"a":1.50,"b":"x"}`, 1000,
			func(s string) bool { return s == `{"a":1.50,"b":"x"}` }},
		{"a data URL is shortened although it would fit", `[{"image_url":{"url":"data:image/png;base64,` + pixels + `"}}]`, 1 << 20,
			func(s string) bool {
				return s == `[{"image_url":{"url":"data:image/png;base64,… [5500 bytes cut]"}}]`
			}},
		{"encoded sound is shortened first", `[{"data":"` + pixels + `"},{"text":"` + long + `"}]`, 4000,
			func(s string) bool { return strings.Contains(s, long) && !strings.Contains(s, pixels[:100]) }},
		{"a long text is cut with a mark that tells how much is gone", `{"content":"` + long + `"}`, 1000,
			func(s string) bool { return strings.Contains(s, "… [1100 bytes cut]") }},
		{"texts are cut between letters", `{"content":"` + strings.Repeat("ção", 400) + `"}`, 301,
			func(s string) bool { return !strings.Contains(s, "\uFFFD") }},
		{"of a long list the first and the last elements stay", `[{"role":"system","content":"be brief"}` +
			strings.Repeat(`,{"role":"user","content":"hi"}`, 100) + `,{"role":"user","content":"last"}]`, 400,
			func(s string) bool {
				return strings.HasPrefix(s, `[{"role":"system","content":"be brief"},{"role":"system","content":"… [`) &&
					strings.HasSuffix(s, `"last"}]`) && len(s) <= 400
			}},
		{"what cannot be shortened in shape becomes a mark", `{` + strings.Repeat(`"a":1,`, 1) + `"b":[` + strings.Repeat("1,", 500) + `1]}`, 100,
			func(s string) bool { return s == `"… [1015 bytes cut]"` }},
		{"half a JSON value becomes a mark, however short", `{"a":"b`, 100, func(s string) bool { return s == `"… [7 bytes cut]"` }},
		{"so does one with a name twice", `{"a":1,"a":2}`, 100, func(s string) bool { return s == `"… [13 bytes cut]"` }},
		{"what is no JSON becomes a mark", strings.Repeat("x", 300), 100, func(s string) bool { return s == `"… [300 bytes cut]"` }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := string(Shorten(jsontext.Value(c.in), c.limit))
			if !c.check(got) {
				t.Errorf("got %d bytes: %.600s", len(got), got)
			}
			if !jsontext.Value(got).IsValid() {
				t.Errorf("no valid JSON: %.600s", got)
			}
		})
	}
}

func TestShortenSharesNoMemory(t *testing.T) {
	in := jsontext.Value(`{"a":"b"}`)
	out := Shorten(in, 1000)
	in[2] = 'X'
	if string(out) != `{"a":"b"}` {
		t.Errorf("the copy changed with the original: %s", out)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add([]byte(`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]`), 64)
	f.Add([]byte(`{"a":["`+strings.Repeat("é", 300)+`",1,null,{"b":{}}]}`), 100)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		limit = 64 + max(limit, 0)%4096
		in := jsontext.Value(text)
		if !in.IsValid() || len(in) == 0 {
			return
		}
		before := bytes.Clone(in)
		out := Shorten(in, limit)
		if !out.IsValid() {
			t.Errorf("no valid JSON: %s", out)
		}
		if len(out) > max(limit, 64) && len(out) > limit {
			t.Errorf("%d bytes, want at most %d", len(out), limit)
		}
		if !bytes.Equal(before, in) {
			t.Error("the value was changed")
		}
		_ = redactValue(in)
	})
}

func TestRedactionHidesEveryText(t *testing.T) {
	r := fullRecord()
	r.Messages = jsontext.Value(`[{"role":"user","content":"SECRET"}]`)
	r.ModelParameters = jsontext.Value(`{"temperature":0.5,"reasoning_effort":"low","stop":["SECRET"],"tools":[{"type":"function",` +
		`"function":{"name":"f","description":"SECRET"}}]}`)
	r.Response = jsontext.Value(`{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"finish_reason":"tool_calls",
		"message":{"role":"assistant","content":"SECRET","reasoning_content":"SECRET",
			"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"q\":\"SECRET\"}"}}]},
		"logprobs":{"content":[{"token":"SECRET","bytes":[83,69]}]}}],"data":[{"embedding":[0.1,0.2]}],
		"usage":{"prompt_tokens":3},"tomorrow":{"thoughts":["SECRET"]}}`)
	Policy{Redact: true}.Apply(r, Inherit)
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(text, []byte("SECRET")) {
		t.Errorf("text is left: %s", text)
	}
	for what, value := range map[string]string{
		"messages":   string(r.Messages),
		"response":   string(r.Response),
		"parameters": string(r.ModelParameters),
	} {
		want := map[string]string{
			"messages": `[{"role":"user","content":"redacted-by-litellm"}]`,
			"response": `{"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",` +
				`"content":"redacted-by-litellm","reasoning_content":"redacted-by-litellm","tool_calls":[{"id":"c1","type":"function",` +
				`"function":{"name":"redacted-by-litellm","arguments":"redacted-by-litellm"}}]},` +
				`"logprobs":{"content":[{"token":"redacted-by-litellm","bytes":[]}]}}],"data":[{"embedding":[]}],"usage":{"prompt_tokens":3},` +
				`"tomorrow":{"thoughts":["redacted-by-litellm"]}}`,
			"parameters": `{"temperature":0.5,"reasoning_effort":"low","stop":["redacted-by-litellm"],"tools":[{"type":"function",` +
				`"function":{"name":"redacted-by-litellm","description":"redacted-by-litellm"}}]}`,
		}[what]
		if diff := cmp.Diff(want, value); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
}

func TestRedactionOfErrors(t *testing.T) {
	for status, hidden := range map[int]bool{400: true, 422: true, 401: false, 429: false, 503: false} {
		r := &Record{Status: Failure}
		r.SetError(&upstream.Error{Status: status, Message: "you said SECRET"}, "openai")
		shared := r.ErrorInformation
		Policy{Redact: true}.Apply(r, Inherit)
		if got := r.ErrorStr == "redacted-by-litellm" && r.ErrorInformation.Message == "redacted-by-litellm"; got != hidden {
			t.Errorf("%d: hidden %v, want %v", status, got, hidden)
		}
		if hidden && shared.Message != "you said SECRET" {
			t.Error("the caller's error was changed")
		}
		if string(r.Response) != "{}" {
			t.Errorf("the response of a failure is %s", r.Response)
		}
	}
}

func TestWishes(t *testing.T) {
	header := func(name string) upstream.Header { return upstream.Header{{Name: name, Value: "true"}} }
	for _, c := range []struct {
		name   string
		policy Policy
		wish   Wish
		hidden bool
	}{
		{"nothing said: shown", Policy{}, ReadWish(nil, Inherit), false},
		{"turn_off_message_logging hides", Policy{Redact: true}, ReadWish(nil, Inherit), true},
		{"a header hides one request", Policy{}, ReadWish(header("x-litellm-enable-message-redaction"), Inherit), true},
		{"the body hides one request", Policy{}, ReadWish(nil, Hide), true},
		{"a header alone does not show what is hidden", Policy{Redact: true}, ReadWish(header("litellm-disable-message-redaction"), Inherit),
			true},
		{"a header shows where the administrator allows it", Policy{Redact: true, AllowShow: true},
			ReadWish(header("litellm-disable-message-redaction"), Inherit), false},
		{"the wish to show is stronger than the body's to hide", Policy{AllowShow: true}, ReadWish(header("litellm-disable-message-redaction"),
			Hide), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, e := fullRecord(), &Event{Messages: jsontext.Value(`[{"content":"Olá"}]`),
				Chunk: jsontext.Value(`{"choices":[{"delta":{"content":"Olá"}}]}`)}
			c.policy.Apply(r, c.wish)
			c.policy.ApplyEvent(e, c.wish)
			for what, value := range map[string]jsontext.Value{"record": r.Messages, "event": e.Messages, "chunk": e.Chunk} {
				if got := !bytes.Contains(value, []byte("Olá")); got != c.hidden {
					t.Errorf("%s hidden: %v, want %v: %s", what, got, c.hidden, value)
				}
			}
		})
	}
}

func TestApplyBoundsARecord(t *testing.T) {
	r := fullRecord()
	r.Messages = jsontext.Value(`[{"role":"user","content":"` + strings.Repeat("a b ", 1<<20) + `"}]`)
	r.Response = jsontext.Value(`{"choices":[{"message":{"content":"` + strings.Repeat("c d ", 1<<20) + `"}}]}`)
	r.SetError(&upstream.Error{Status: 500, Message: strings.Repeat("x", 1<<20)}, "openai")
	Policy{}.Apply(r, Inherit)
	if r.Size() > 600<<10 || r.Size() < 200<<10 {
		t.Errorf("the record is %d bytes", r.Size())
	}
}
