package translatetest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// golden is a small exchange whose parts the tests replace.
const golden = `A case for the tests of the comparison.
-- config --
{"model": "PROVIDER/m", "api_key": "k"}
-- request --
POST /v1/chat/completions

{"model": "client-alias", "messages": []}
-- upstream-request --
POST https://host/v1/chat?a=1
content-type: application/json
anthropic-beta: one,two
!authorization

BODY
-- upstream-answer --
200
content-type: application/json

{}
`

func parsed(t *testing.T, provider, body, more string) *Exchange {
	t.Helper()
	text := strings.NewReplacer("PROVIDER", provider, "BODY", body).Replace(golden) + more
	if !strings.Contains(more, "-- answer") {
		text += "-- answer --\n200\n\n{}\n"
	}
	x, err := Parse("case", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// check expects the differences to be at these pointers, in any order.
func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	for _, pointer := range want {
		found := false
		for _, d := range got {
			found = found || strings.HasPrefix(d, pointer)
		}
		if !found {
			t.Errorf("no difference at %s in %q", pointer, got)
		}
	}
	if len(want) == 0 && len(got) > 0 {
		t.Errorf("differences: %q", got)
	}
}

func goodCall(body string) *upstream.Call {
	return &upstream.Call{
		Method: "POST", Path: "/v1/chat?a=1", Body: []byte(body),
		Header: upstream.Header{
			{Name: "content-type", Value: "application/json; charset=utf-8"}, {Name: "anthropic-beta", Value: "two, one"},
			{Name: "x-more", Value: "1"},
		},
	}
}

func TestCompareCallSeesEveryPartOfACall(t *testing.T) {
	x := parsed(t, "openai", `{"model": "m"}`, "")
	host := &url.URL{Scheme: "https", Host: "host:8443"}
	check(t, x.CompareCall(host, goodCall(`{"model":"m","x":null}`)))
	for pointer, spoil := range map[string]func(*upstream.Call){
		"/method":                func(c *upstream.Call) { c.Method = "PUT" },
		"/path":                  func(c *upstream.Call) { c.Path = "/v1/other?a=1" },
		"/query":                 func(c *upstream.Call) { c.Path = "/v1/chat?a=2" },
		"/headers/content-type":  func(c *upstream.Call) { c.Header[0].Value = "text/plain" },
		"/headers/anthropic":     func(c *upstream.Call) { c.Header[1].Value = "one" },
		"/headers/authorization": func(c *upstream.Call) { c.Header.Set("authorization", "") },
		"/body/model":            func(c *upstream.Call) { c.Body = []byte(`{"model":"n"}`) },
		"/body/more":             func(c *upstream.Call) { c.Body = []byte(`{"model":"m","more":1}`) },
		"/body":                  func(c *upstream.Call) { c.Body = []byte(`{"model"`) },
	} {
		c := goodCall(`{"model":"m"}`)
		spoil(c)
		check(t, x.CompareCall(host, c), pointer)
	}
	check(t, x.CompareCall(&url.URL{Scheme: "http", Host: "elsewhere"}, goodCall(`{"model":"m"}`)), "/scheme", "/host")
	check(t, x.CompareCall(host, nil), ": the provider was not asked")
}

func TestCompareCallTakesWhatAProviderTakesForEqual(t *testing.T) {
	for name, tc := range map[string]struct {
		provider, golden string
		same, other      []string
		more             string
	}{
		"OpenAI: usage of a stream may be asked for": {
			provider: "openai", golden: `{"stream":true}`,
			same:  []string{`{"stream":true,"stream_options":{"include_usage":true}}`},
			other: []string{`{}`, `{"stream":true,"stream_options":{"include_usage":false}}`},
		},
		"numbers are compared by value, other kinds are not converted": {
			provider: "openai", golden: `{"a":1}`, same: []string{`{"a":1.0}`}, other: []string{`{"a":"1"}`, `{"a":true}`, `{"a":[1]}`},
		},
		"Anthropic: texts, custom tools and the automatic choice": {
			provider: "anthropic", golden: `{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f"}]}`,
			same: []string{`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"tools":[{"name":"f","type":"custom"}],
				"tool_choice":{"type":"auto","disable_parallel_tool_use":false},"stream":false,"system":[]}`},
			other: []string{
				`{"messages":[{"role":"user","content":"b"}],"tools":[{"name":"f"}]}`,
				`{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","type":"bash"}]}`,
				`{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f"}],"tool_choice":{"type":"any"}}`,
				`{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f"}],"stream":true}`,
			},
		},
		"Anthropic: kept and inlined references": {
			provider: "anthropic",
			golden:   `{"output_config":{"format":{"schema":{"$defs":{"A":{"type":"string"}},"properties":{"a":{"$ref":"#/$defs/A"}}}}}}`,
			same:     []string{`{"output_config":{"format":{"schema":{"properties":{"a":{"type":"string"}}}}}}`},
			other:    []string{`{"output_config":{"format":{"schema":{"properties":{"a":{"type":"number"}}}}}}`},
		},
		"Gemini: spellings, neighbours and wrapped results": {
			provider: "gemini",
			golden: `{"contents":[{"role":"user","parts":[{"text":"a"},{"functionResponse":{"name":"f","response":{"output":"x"}}}]}],` +
				`"systemInstruction":{"parts":[{"text":"a\nb"}]},"generationConfig":{}}`,
			same: []string{`{"contents":[{"role":"user","parts":[{"text":"a"},{"text":""}]},{"role":"function",
			"parts":[{"function_response":{"name":"f","response":{"result":"x"}}}]}],
				"system_instruction":{"role":"x","parts":[{"text":"a"},{"text":"b"}]},"model":"m",
				"generationConfig":{"responseMimeType":"text/plain"}}`},
			other: []string{
				`{"contents":[{"role":"model","parts":[{"text":"a"},{"functionResponse":{"name":"f","response":{"output":"x"}}}]}],` +
					`"systemInstruction":{"parts":[{"text":"a\nb"}]}}`,
				`{"contents":[{"role":"user","parts":[{"text":"a"},{"functionResponse":{"name":"f","response":{"output":"y"}}}]}],` +
					`"systemInstruction":{"parts":[{"text":"a\nb"}]}}`,
				`{"contents":[{"role":"user","parts":[{"text":"a"},{"functionResponse":{"name":"f","response":{"output":"x"}}}]}],` +
					`"systemInstruction":{"parts":[{"text":"a"}]}}`,
			},
		},
		"Gemini: the spellings of a schema": {
			provider: "gemini",
			golden: `{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"object","properties":{"type":{"type":"string",` +
				`"nullable":true}}}}]}]}`,
			same: []string{
				`{"tools":[{"function_declarations":[{"name":"f","parameters":{"type":"OBJECT","propertyOrdering":["type"],` +
					`"properties":{"type":{"type":["STRING","null"],"default":"x"}}}}]}]}`,
				`{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"type":{"anyOf":[{"type":"string"},` +
					`{"type":"null"}]}}}}]}]}`,
			},
			other: []string{
				`{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"object","properties":{"type":{"type":"string"}}}}]}]}`,
				`{"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"object","properties":{"kind":{"type":"string",` +
					`"nullable":true}}}}]}]}`,
			},
		},
		"Ollama: ids of calls do not count, stream does": {
			provider: "ollama",
			golden:   `{"stream":false,"messages":[{"role":"tool","tool_name":"f"},{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}`,
			same: []string{`{"stream":false,"options":{},"messages":[{"role":"tool","tool_name":"f","tool_call_id":"1","content":"",` +
				`"images":[]},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"index":0,"name":"f"}}]}]}`},
			other: []string{`{"messages":[{"role":"tool","tool_name":"f"},{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}`},
		},
		"lenient places and alternatives": {
			provider: "openai", golden: `{"a":1,"b":{"c":2},"d":"x","e":"y"}`,
			more: "-- lenient --\n/upstream-request/body/a positive_int\n/upstream-request/body/f ignore\n" +
				"/upstream-request/body/e absent_or_equal\n" +
				"-- or /upstream-request/body/b --\n{\"z\":1}\n",
			same: []string{`{"a":7,"b":{"z":1},"d":"x","f":[1]}`},
			other: []string{
				`{"a":0,"b":{"z":1},"d":"x"}`, `{"a":7,"b":{"z":2},"d":"x"}`, `{"a":7,"b":{"c":2},"d":"x","e":"z"}`, `{"a":7,"b":{"c":2}}`,
				`{"b":{"c":2},"d":"x"}`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := parsed(t, tc.provider, tc.golden, tc.more)
			host := &url.URL{Scheme: "https", Host: "host"}
			for _, body := range tc.same {
				check(t, x.CompareCall(host, goodCall(body)))
			}
			for _, body := range tc.other {
				if len(x.CompareCall(host, goodCall(body))) == 0 {
					t.Errorf("no difference seen in %s", body)
				}
			}
		})
	}
}

func TestCompareAnswerSeesEveryPartOfACompletion(t *testing.T) {
	const good = `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"tool_calls",` +
		`"message":{"role":"assistant","content":"a","tool_calls":[{"id":"c1","type":"function","function":{"name":"f",` +
		`"arguments":"{\"x\":1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},` +
		`"logprobs":{"content":[{"token":"a","logprob":-0.5}]}}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,` +
		`"prompt_tokens_details":{"cached_tokens":1}}}`
	want := strings.Replace(good, `"id":"c2"`, `"id":"{{GENERATED}}"`, 1)
	x := parsed(t, "openai", "{}", "-- answer --\n200\nretry-after: 1\n\n"+want+"\n")
	answer := func(body string) []string {
		return x.CompareAnswer(Answer{Status: 200, Header: upstream.Header{{Name: "retry-after", Value: "1"}}, Body: []byte(body)})
	}
	check(t, answer(good))
	check(t, answer(strings.NewReplacer(`{\"x\":1}`, `{ \"x\": 1.0 }`, `"id":"1"`, `"id":"9"`, `"content":"a",`,
		`"content":"a","refusal":null,"more":1,`).Replace(good)))
	for old, replaced := range map[string][2]string{
		`"id":"1"`:             {`"id":""`, "/body/id"},
		`"finish_reason":"t`:   {`"finish_reason":"x`, "/body/choices/0/finish_reason"},
		`"content":"a"`:        {`"content":"b"`, "/body/choices/0/message/content"},
		`"c1"`:                 {`"c3"`, "/body/choices/0/message/tool_calls/0/id"},
		`"c2"`:                 {`"c1"`, "/choices/0"},
		`{\"x\":1}`:            {`{\"x\":2}`, "/body/choices/0/message/tool_calls/0/function/arguments"},
		`"arguments":"{}"`:     {`"arguments":""`, "/body/choices/0/message/tool_calls/1/function/arguments"},
		`"logprob":-0.5`:       {`"logprob":-0.4`, "/body/choices/0/logprobs"},
		`"cached_tokens":1`:    {`"cached_tokens":0`, "/body/usage/cached_tokens"},
		`"total_tokens":3`:     {`"total_tokens":4`, "/body/usage/total_tokens"},
		`"role":"assistant",`:  {``, "/body/choices/0/message/role"},
		`"created":1`:          {`"created":0`, "/body/created"},
		`"choices":[`:          {`"choices":[{"index":0},`, "/body/choices"},
		`"object":"chat.compl`: {`"object":"x`, "/body/object"},
	} {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not there", old)
		}
		check(t, answer(strings.Replace(good, old, replaced[0], 1)), replaced[1])
	}
	check(t, x.CompareAnswer(Answer{Status: 201, Body: []byte("[]")}), "/status", "/headers/retry-after", "/body")
}

func TestCompareAnswerSeesEveryPartOfAnError(t *testing.T) {
	x := parsed(t, "openai", "{}", "-- answer-error --\n400 422\n\n"+
		`{"message_contains":["too long"],"type_in":["invalid_request_error"],"code_in":["context_length_exceeded"]}`+"\n")
	answer := func(message, kind, code string) []string {
		e := &upstream.Error{Status: 422, Message: message, Type: kind, Code: code}
		return x.CompareAnswer(failed(e))
	}
	check(t, answer("it is too long", "invalid_request_error", "context_length_exceeded"))
	check(t, answer("no", "invalid_request_error", "context_length_exceeded"), "/body/error/message")
	check(t, answer("too long", "server_error", "context_length_exceeded"), "/body/error/type")
	check(t, answer("too long", "", "context_length_exceeded"), "/body/error")
	check(t, answer("too long", "invalid_request_error", ""), "/body/error/code")
	check(t, x.CompareAnswer(Answer{Status: 500, Body: []byte(`{"message":"too long"}`)}), "/status", "/body/error")
}
