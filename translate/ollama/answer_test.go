package ollama_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	blocking  = `{"messages":[]}`
	streaming = `{"messages":[],"stream":true,"stream_options":{"include_usage":true}}`
)

func TestBlockingAnswer(t *testing.T) {
	tests := map[string]struct{ answer, choice, usage string }{
		"text and thoughts": {
			`{"model":"m","message":{"role":"assistant","content":"42","thinking":"hm"},"done":true,"done_reason":"length","prompt_eval_count":2,` +
				`"eval_count":3}`,
			`"message":{"role":"assistant","content":"42","reasoning_content":"hm"},"finish_reason":"length"`,
			`{"prompt_tokens":2,"completion_tokens":3,"total_tokens":5}`,
		},
		"calls with and without id and arguments": {
			`{"model":"m","message":{"content":"","tool_calls":[{"id":"x","function":{"name":"f","arguments":{ "a": 1.0 }}},` +
				`{"function":{"name":"g"}},{"function":{"name":"h","arguments":"{}"}}]},"done":true,"done_reason":"stop"}`,
			`"message":{"role":"assistant","content":null,"tool_calls":[{"id":"x","type":"function","function":{"name":"f",
			"arguments":"{\"a\":1.0}"}},
				{"id":"*","type":"function","function":{"name":"g","arguments":"{}"}},{"id":"*","type":"function","function":{"name":"h",
				"arguments":"{}"}}]},"finish_reason":"tool_calls"`,
			`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
		},
		"log probabilities are OpenAI's": {
			`{"model":"m","message":{"content":"a"},"done":true,"logprobs":[{"token":"a","logprob":-0.10,"bytes":[97],"top_logprobs":[]}]}`,
			`"message":{"role":"assistant","content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.10,"bytes":[97],"top_logprobs":[]}]},` +
				`"finish_reason":"stop"`,
			`{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
		},
		"a model that was only loaded": {
			`{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"load"}`,
			`"message":{"role":"assistant","content":null},"finish_reason":"stop"`, `{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := `{"id":"*","object":"chat.completion","created":0,"model":"m","choices":[{"index":0,` + test.choice + `}],"usage":` +
				test.usage + `}`
			got, result := feed(t, translatetest.Request(t, chat.Completions, blocking), test.answer)
			if result.Failure != nil {
				t.Fatal(result.Failure)
			}
			if diff := cmp.Diff(strings.NewReplacer("\n", "", "\t", "").Replace(want), got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStreamedAnswer(t *testing.T) {
	const head = `data: {"id":"*","object":"chat.completion.chunk","created":0,"model":"m","choices":[`
	const first = `{"model":"m","message":{"content":"a"},"done":false}` + "\n"
	const opened = head + `{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]}` + "\n\n"
	tests := map[string]struct{ lines, want string }{
		"calls in lines of their own are calls of their own": {
			`{"message":{"tool_calls":[{"id":"x","function":{"name":"f","arguments":{}}}]}}` + "\n" +
				`{"message":{"tool_calls":[{"id":"y","function":{"name":"f","arguments":{}}}]}}` + "\n\n" +
				`{"message":{"content":"b"},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}`,
			head + `{"index":0,"delta":{"tool_calls":[{"index":0,"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
				`"finish_reason":null}]}` + "\n\n" +
				head + `{"index":0,"delta":{"tool_calls":[{"index":1,"id":"y","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
				`"finish_reason":null}]}` + "\n\n" +
				head + `{"index":0,"delta":{"content":"b"},"finish_reason":null}]}` + "\n\n" + head +
				`{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\n" +
				head + `],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}` + "\n\ndata: [DONE]\n\n",
		},
		"an error line": {
			`{"error":"CUDA error"}` + "\n" + first,
			`data: {"error":{"message":"CUDA error","type":"server_error","param":null,"code":null}}` + "\n\n",
		},
		"a stream that ends before it is done": {
			"\r\n",
			`data: {"error":{"message":"the provider's answer ended before it was complete","type":"server_error","param":null,` +
				`"code":"incomplete_answer"}}` + "\n\n",
		},
		"a line that is no JSON": {
			"oops\n" + first,
			`data: {"error":{"message":"the provider's answer could not be read","type":"server_error","param":null,"code":"invalid_answer"}}` +
				"\n\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, _ := feed(t, translatetest.Request(t, chat.Completions, streaming), first+test.lines)
			if diff := cmp.Diff(opened+test.want, got); diff != "" {
				t.Errorf("stream (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswersThatFail(t *testing.T) {
	unreadable := upstream.Error{Status: 502, Type: "server_error", Code: "invalid_answer", Message: "the provider's answer could not be read"}
	broken := upstream.Error{Status: 500, Kind: upstream.KindServer, Type: "server_error", Message: "broken"}
	tests := map[string]struct {
		endpoint        chat.Endpoint
		request, answer string
		want            upstream.Error
	}{
		"HTML":                     {chat.Completions, blocking, "<html>", unreadable},
		"nothing":                  {chat.Completions, blocking, "", unreadable},
		"an error with 200":        {chat.Completions, blocking, `{"error":"broken"}`, broken},
		"embeddings that are none": {chat.Embeddings, `{"input":"a"}`, `{"embedding":[1]}`, unreadable},
		"an embedding error":       {chat.Embeddings, `{"input":"a"}`, `{"error":"broken"}`, broken},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out, result := feed(t, translatetest.Request(t, test.endpoint, test.request), test.answer)
			if out != "" || result.Failure == nil {
				t.Fatalf("got %q and failure %v", out, result.Failure)
			}
			if diff := cmp.Diff(test.want, *result.Failure); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEmbeddingAnswer(t *testing.T) {
	got, result := feed(t, translatetest.Request(t, chat.Embeddings, `{"input":"a","encoding_format":"base64"}`), `{"model":"m","embed`,
		`dings":[[1]],"prompt_eval_count":2}`)
	want := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"model":"m","usage":{"prompt_tokens":2,` +
		`"total_tokens":2}}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if !result.HasUsage || result.Usage.Prompt != 2 || result.Model != "m" {
		t.Errorf("result %+v", result)
	}
}

func TestFailure(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   upstream.Error
	}{
		"a model that was not pulled": {
			404, `{"error":"model \"x\" not found, try pulling it first"}`,
			upstream.Error{
				Status: 404, Kind: upstream.KindModelNotFound,
				Type: "not_found_error", Code: "model_not_found", Message: `model "x" not found, try pulling it first`,
			},
		},
		"an input that is too long": {
			400, `{"error":"the input length exceeds the context length"}`,
			upstream.Error{
				Status:  400,
				Kind:    upstream.KindContextWindow,
				Type:    "invalid_request_error",
				Code:    upstream.CodeContextLength,
				Message: "the input length exceeds the context length",
			},
		},
		"a busy server": {
			503, `{"error":"server busy, please try again"}`,
			upstream.Error{Status: 503, Kind: upstream.KindUnavailable, Type: "server_error", Message: "server busy, please try again"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := suite.Bind(t, upstream.Target{}).Failure(upstream.Head{Status: test.status}, []byte(test.body))
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
		})
	}
}
