package anthropic_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	blocking  = `{` + hi + `}`
	streaming = `{` + hi + `,"stream":true}`
	renamed   = `{` + hi + `,"tools":[{"type":"function","function":{"name":"a.b"}}]`
	schema    = `{` + hi + `,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}`
	older     = "claude-3-5-sonnet-20241022"
)

// reply wraps content blocks in a whole answer.
func reply(content, reason string) string {
	return `{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[` + content + `],"stop_reason":"` + reason +
		`","usage":{"input_tokens":3,"output_tokens":2}}`
}

// choice wraps a message in the whole answer of a client.
func choice(message, finish string) string {
	return `{"id":"msg_1","object":"chat.completion","created":0,"model":"claude-x","choices":[{"index":0,"message":{"role":"assistant",` +
		message + `},"finish_reason":"` + finish +
		`"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
}

func TestBlockingAnswers(t *testing.T) {
	tests := map[string]struct{ model, request, answer, want string }{
		"text": {
			request: blocking,
			answer:  reply(`{"type":"text","text":"a"},{"type":"text","text":"b"}`, "stop_sequence"),
			want:    choice(`"content":"ab"`, "stop"),
		},
		"the context is full": {
			request: blocking,
			answer:  reply(`{"type":"text","text":"a"}`, "model_context_window_exceeded"),
			want:    choice(`"content":"a"`, "length"),
		},
		"a pause and what is yet to come are a stop": {request: blocking, answer: reply(``, "nap"), want: choice(`"content":null`, "stop")},
		"thinking comes back as text and as blocks": {
			request: blocking,
			answer: reply(`{"type":"thinking","thinking":"t","signature":"s"},{"type":"redacted_thinking","data":"d"},`+
				`{"type":"thinking","thinking":"u"},{"type":"text","text":"a"}`, "end_turn"),
			want: choice(`"content":"a","reasoning_content":"tu","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"},`+
				`{"type":"redacted_thinking","data":"d"}]`, "stop"),
		},
		"calls have the client's names and arguments": {
			request: renamed + `}`,
			answer: reply(`{"type":"tool_use","id":"t1","name":"a_b","input":{"x": 1.50}},{"type":"tool_use","id":"t2","name":"other"}`,
				"tool_use"),
			want: choice(`"content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"a.b","arguments":"{\"x\": 1.50}"}},`+
				`{"id":"t2","type":"function","function":{"name":"other","arguments":"{}"}}]`, "tool_calls"),
		},
		"an answer by tool is the content": {
			model: older, request: schema + `}`, answer: reply(`{"type":"tool_use","id":"t1","name":"json_tool_call","input":{"a":1}}`, "tool_use"),
			want: choice(`"content":"{\"a\":1}"`, "stop"),
		},
		"the words before an answer by tool are not of the answer": {
			model: older, request: schema + `}`,
			answer: reply(`{"type":"text","text":"Here: "},{"type":"tool_use","id":"t1","name":"json_tool_call","input":{"a":1}}`, "tool_use"),
			want:   choice(`"content":"{\"a\":1}"`, "stop"),
		},
		"a call beside it is still a call": {
			model: older, request: schema + `,` + function + `}`, answer: reply(`{"type":"tool_use","id":"t1","name":"f","input":{}}`, "tool_use"),
			want: choice(`"content":null,"tool_calls":[{"id":"t1","type":"function","function":{"name":"f","arguments":"{}"}}]`, "tool_calls"),
		},
		"citations and the tools at Anthropic's": {
			request: blocking,
			answer: reply(`{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result",
			"tool_use_id":"s1","content":[{"url":"u"}]},
				{"type":"text","text":"a","citations":[{"url":"u"},{"url":"v"}]},{"type":"text","text":"b","citations":[]},{"type":"text","text":"c",
				"citations":[ {"url":"w"} ]}`, "end_turn"),
			want: choice(`"content":"abc","provider_specific_fields":{"citations":[{"url":"u"},{"url":"v"},{"url":"w"}],`+
				`"blocks":[{"type":"server_tool_use","id":"s1","name":"web_search","input":{"query":"q"}},`+
				`{"type":"web_search_tool_result","tool_use_id":"s1","content":[{"url":"u"}]}]}`, "stop"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := answer(t, upstream.Target{Model: test.model}, test.request, test.answer)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsageCountsTheCacheToThePrompt(t *testing.T) {
	want := chat.Usage{Prompt: 1054, Completion: 9, Total: 1063, Cached: 1000, CacheWrite: 50, Reasoning: 4}
	_, result := answer(t, upstream.Target{}, blocking, `{"type":"message","content":[],"stop_reason":"end_turn","usage":
		{"input_tokens":4,"cache_creation_input_tokens":50,"cache_read_input_tokens":1000,"output_tokens":9,
		"output_tokens_details":{"thinking_tokens":4}}}`)
	if diff := cmp.Diff(want, result.Usage); diff != "" || result.Model != "claude-sonnet-4-5" {
		t.Errorf("blocking, model %q (-want +got):\n%s", result.Model, diff)
	}
	_, result = answer(t, upstream.Target{}, streaming, events(
		`{"type":"message_start","message":{"usage":{"input_tokens":4,"cache_creation_input_tokens":50,"cache_read_input_tokens":1000,`+
			`"output_tokens":1}}}`,
		`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":0,"cache_read_input_tokens":null,`+
			`"output_tokens":9,"output_tokens_details":{"thinking_tokens":4}}}`,
		`{"type":"message_stop"}`))
	if diff := cmp.Diff(want, result.Usage); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
}

// events writes a stream of events.
func events(data ...string) string {
	var stream strings.Builder
	for _, d := range data {
		stream.WriteString("event: x\ndata: " + d + "\n\n")
	}
	return stream.String()
}

const (
	begin = `{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":3,"output_tokens":1}}}`
	end   = `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`
	over  = `{"type":"message_stop"}`
)

func TestStreams(t *testing.T) {
	called := `{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`
	tests := map[string]struct {
		model, request string
		events         []string
		want           []string // the deltas, then the finish reason
	}{
		"a ping and what is yet to come are nothing": {
			request: streaming,
			events: []string{
				begin, `{"type":"ping"}`, `{"type":"news","error":null}`,
				`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}`, `{"type":"content_block_stop","index":0}`, end,
				over,
			},
			want: []string{`"role":"assistant","content":"a"`, `"content":"b"`, "stop"},
		},
		"thinking ends with its block": {
			request: streaming,
			events: []string{begin, `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"u"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}`,
				`{"type":"content_block_stop","index":0}`,
				`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"d"}}`,
				`{"type":"content_block_stop","index":1}`, end, over},
			want: []string{
				`"role":"assistant","reasoning_content":"t"`, `"reasoning_content":"u"`,
				`"thinking_blocks":[{"type":"thinking","thinking":"tu","signature":"s"},{"type":"redacted_thinking","data":"d"}]`, "stop",
			},
		},
		"calls that grow side by side": {
			request: renamed + `,"stream":true}`,
			events: []string{begin, `{"type":"content_block_start","index":4,"content_block":{"type":"tool_use","id":"t1","name":"a_b","input":{}}}`,
				`{"type":"content_block_start","index":7,"content_block":{"type":"tool_use","id":"t2","name":"g","input":{}}}`,
				`{"type":"content_block_delta","index":7,"delta":{"type":"input_json_delta","partial_json":"{}"}}`,
				`{"type":"content_block_delta","index":4,"delta":{"type":"input_json_delta","partial_json":"{\"x\":1}"}}`,
				`{"type":"content_block_stop","index":4}`, `{"type":"content_block_stop","index":7}`, called, over},
			want: []string{`"role":"assistant","tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"a.b","arguments":""}}]`,
				`"tool_calls":[{"index":1,"id":"t2","type":"function","function":{"name":"g","arguments":""}}]`,
				`"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]`, `"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]`,
				"tool_calls"},
		},
		"input that is there from the start": {
			request: streaming,
			events: []string{
				begin, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"f","input":{"x":1}}}`, called,
				over,
			},
			want: []string{`"role":"assistant","tool_calls":[{"index":0,"id":"t1","type":"function","function":{"name":"f","arguments":""}}]`,
				`"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":1}"}}]`, "tool_calls"},
		},
		"an answer by tool is the content": {
			model: older, request: schema + `,"stream":true}`,
			events: []string{
				begin, `{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"json_tool_call","input":{}}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}`,
				`{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"1}"}}`,
				`{"type":"content_block_stop","index":0}`, called, over,
			},
			want: []string{`"role":"assistant","content":"{\"a\":"`, `"content":"1}"`, "stop"},
		},
		"citations and the tools at Anthropic's": {
			request: streaming,
			events: []string{
				begin, `{"type":"content_block_start","index":0,"content_block":{"type":"web_search_tool_result","tool_use_id":"s1","content":[]}}`,
				`{"type":"content_block_stop","index":0}`,
				`{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}`,
				`{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{"url":"u"}}}`, end, over,
			},
			want: []string{
				`"role":"assistant","provider_specific_fields":{"blocks":[{"type":"web_search_tool_result","tool_use_id":"s1","content":[],` +
					`"index":0}]}`,
				`"provider_specific_fields":{"citations":[{"url":"u","index":0}]}`, "stop",
			},
		},
		"deltas of no block are nothing": {
			request: streaming,
			events: []string{
				begin, `{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"b"}}`, `{"type":"content_block_stop","index":9}`,
				end, over,
			},
			want: []string{"stop"},
		},
		"OpenAI's terminator is no harm": {request: streaming, events: []string{begin, end, `[DONE]`}, want: []string{"stop"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var want strings.Builder
			head := `data: {"id":"msg_1","object":"chat.completion.chunk","created":0,"model":"claude-x","choices":[{"index":0,"delta":{`
			for _, delta := range test.want[:len(test.want)-1] {
				want.WriteString(head + delta + "},\"finish_reason\":null}]}\n\n")
			}
			role := ""
			if len(test.want) == 1 {
				role = `"role":"assistant"`
			}
			want.WriteString(head + role + `},"finish_reason":"` + test.want[len(test.want)-1] + "\"}]}\n\ndata: [DONE]\n\n")
			got, _ := answer(t, upstream.Target{Model: test.model}, test.request, events(test.events...))
			if diff := cmp.Diff(want.String(), got); diff != "" {
				t.Errorf("stream (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStreamAnsweredWithoutEvents(t *testing.T) {
	tr, req := suite.Bind(t, upstream.Target{}), translatetest.Request(t, chat.Completions, streaming)
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "application/json; charset=utf-8"}}}
	out := string(tr.Decoder(req, head).Feed([]byte(reply(`{"type":"text","text":"a"}`, "end_turn")), true))
	if !strings.Contains(out, `"content":"a"`) || !strings.HasSuffix(out, "data: [DONE]\n\n") {
		t.Errorf("stream: %s", out)
	}
}

func TestLegacyCompletionAnswers(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{})
	d := tr.Decoder(translatetest.Request(t, chat.TextCompletions, `{"prompt":"Once"}`), upstream.Head{Status: 200})
	got, _ := translatetest.Feed(t, d, reply(`{"type":"text","text":" upon"}`, "max_tokens"))
	want := `{"id":"msg_1","object":"text_completion","created":0,"model":"claude-x","choices":[{"index":0,"text":" upon","logprobs":null,` +
		`"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestAnswersThatFail(t *testing.T) {
	broken := upstream.Error{Status: 502, Type: "server_error", Code: "invalid_answer", Message: "the provider's answer could not be read"}
	cut := upstream.Error{
		Status:  502,
		Type:    "server_error",
		Code:    "incomplete_answer",
		Message: "the provider's answer ended before it was complete",
	}
	busy := upstream.Error{Status: 529, Kind: upstream.KindUnavailable, Type: "overloaded_error", Message: "Overloaded"}
	const overloaded = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
	tests := map[string]struct {
		request, answer string
		want            upstream.Error
	}{
		"an answer that is no JSON": {blocking, `<html>`, broken},
		"an answer cut short":       {blocking, `{"type":"message","content":[`, broken},
		"an answer of another kind": {blocking, `{"choices":[]}`, broken},
		"no answer":                 {blocking, ``, broken},
		"an error with status 200":  {blocking, overloaded, busy},
		"an error in a stream":      {streaming, events(begin, overloaded), busy},
		"an error without a type": {
			streaming, events(begin, `{"error":"gone"}`), upstream.Error{
				Status: 502, Kind: upstream.KindUnavailable,
				Type: "server_error", Message: "gone",
			},
		},
		"a rate limit in a stream": {
			streaming, events(`{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`),
			upstream.Error{Status: 429, Kind: upstream.KindRateLimit, Type: "rate_limit_error", Message: "slow"},
		},
		"a prompt too long, in a stream": {
			streaming, events(`{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens"}}`),
			upstream.Error{
				Status: 400, Kind: upstream.KindContextWindow,
				Type: "invalid_request_error", Code: "context_length_exceeded", Message: "prompt is too long: 9 tokens",
			},
		},
		"an event that is no JSON": {streaming, events(begin, `{"type":`), broken},
		"a stream cut short": {
			streaming, events(begin, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}`), cut,
		},
		"a stream that gives no reason": {
			streaming, events(begin, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}`, over), cut,
		},
		"a stream without anything in it": {streaming, ``, cut},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, result := answer(t, upstream.Target{}, test.request, test.answer)
			if result.Failure == nil {
				t.Fatalf("no failure: %s", out)
			}
			if diff := cmp.Diff(test.want, *result.Failure); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if test.request == blocking && out != "" {
				t.Errorf("output %q", out)
			}
			if test.request == streaming &&
				(!strings.HasSuffix(out, "data: "+string(test.want.JSON())+"\n\n") || strings.Contains(out, `finish_reason":"`)) {
				t.Errorf("stream %s", out)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	body := func(kind, message string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_1"}`
	}
	tests := map[string]struct {
		status int
		header upstream.Header
		body   string
		want   upstream.Error
	}{
		"a rate limit, with what is left": {
			429,
			upstream.Header{
				{Name: "retry-after", Value: "13"}, {Name: "anthropic-ratelimit-requests-limit", Value: "50"},
				{Name: "anthropic-ratelimit-requests-remaining", Value: "0"}, {Name: "anthropic-ratelimit-tokens-remaining", Value: "9"},
			},
			body("rate_limit_error", "slow"),
			upstream.Error{
				Kind:       upstream.KindRateLimit,
				Type:       "rate_limit_error",
				Message:    "slow",
				RetryAfter: 13 * time.Second,
				Header: upstream.Header{{Name: "retry-after", Value: "13"}, {Name: "x-ratelimit-limit-requests", Value: "50"},
					{Name: "x-ratelimit-remaining-requests", Value: "0"}, {Name: "x-ratelimit-remaining-tokens", Value: "9"}},
			},
		},
		"Anthropic's own fault": {
			500, nil, body("api_error", "Internal server error"),
			upstream.Error{Kind: upstream.KindServer, Type: "server_error", Message: "Internal server error"},
		},
		"a request that is too big": {
			413, nil, body("request_too_large", "Request exceeds the maximum size"),
			upstream.Error{Kind: upstream.KindRequest, Type: "invalid_request_error", Message: "Request exceeds the maximum size"},
		},
		"too many": {
			529, nil, body("overloaded_error", "Overloaded"),
			upstream.Error{Kind: upstream.KindUnavailable, Type: "overloaded_error", Message: "Overloaded"},
		},
		"a prompt that is too long": {400, nil, body("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
			upstream.Error{
				Kind:    upstream.KindContextWindow,
				Type:    "invalid_request_error",
				Code:    "context_length_exceeded",
				Message: "prompt is too long: 208310 tokens > 200000 maximum",
			}},
		"a proxy's page": {
			502, upstream.Header{{Name: "content-type", Value: "text/html"}}, "<html>",
			upstream.Error{Kind: upstream.KindUnavailable, Type: "server_error", Message: "the provider answered 502 Bad Gateway"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.want.Status = test.status
			got := suite.Bind(t, upstream.Target{}).Failure(upstream.Head{Status: test.status, Header: test.header}, []byte(test.body))
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}
