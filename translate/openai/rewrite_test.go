package openai_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// providerAnswer is a provider's answer to a request.
type providerAnswer struct {
	provider, answer string
	stream           bool
}

// received returns what the client gets of an answer, fed in pieces of n bytes.
func received(t testing.TB, a providerAnswer, n int) (string, chat.Result) {
	t.Helper()
	tr, err := openai.New(target(a.provider, "m"))
	if err != nil {
		t.Fatal(err)
	}
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":true}}`), "")
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/json"
	if a.stream {
		kind = "text/event-stream"
	}
	d := tr.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: kind}}})
	var out strings.Builder
	for rest := []byte(a.answer); ; {
		piece := rest[:min(n, len(rest))]
		rest = rest[len(piece):]
		out.Write(d.Feed(piece, len(rest) == 0))
		if len(rest) == 0 {
			return out.String(), d.Result()
		}
	}
}

func TestAnswersGetOpenAIsNames(t *testing.T) {
	tests := []struct{ name, provider, answer, want string }{
		{
			"reasoning becomes reasoning_content", "groq",
			`{"id":"1","choices":[{"index":0,"message":{"role":"assistant","reasoning":"hm","content":"ho"},"finish_reason":"stop"}],` +
				`"x_groq":{"id":"r"}}`,
			`{"id":"1","choices":[{"index":0,"message":{"role":"assistant","reasoning_content":"hm","content":"ho"},"finish_reason":"stop"}],` +
				`"x_groq":{"id":"r"}}`,
		}, {
			"an answer that has reasoning_content keeps both", "openrouter",
			`{"choices":[{"message":{"reasoning":"hm","reasoning_content":"hm"}}]}`,
			`{"choices":[{"message":{"reasoning":"hm","reasoning_content":"hm"}}]}`,
		}, {
			"Mistral's content chunks become text and reasoning", "mistral",
			`{"choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"h"},{"type":"text","text":"m"}]},` +
				`{"type":"text","text":"ho"}]},"finish_reason":"model_length"}]}`,
			`{"choices":[{"message":{"content":"ho","reasoning_content":"hm"},"finish_reason":"length"}]}`,
		}, {
			"Together's eos is a stop", "together_ai",
			`{"choices":[{"index":0,"message":{"content":"ho"},"finish_reason":"eos","seed":1e3}]}`,
			`{"choices":[{"index":0,"message":{"content":"ho"},"finish_reason":"stop","seed":1e3}]}`,
		}, {
			"xAI's tool calls get their finish reason", "xai",
			`{"choices":[{"message":{"tool_calls":[{"id":"1"}]},"finish_reason":""}]}`,
			`{"choices":[{"message":{"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}`,
		}, {
			"what is no JSON stays", "groq", `{"reasoning": oops`, `{"reasoning": oops`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, len(tt.answer)} {
				got, _ := received(t, providerAnswer{tt.provider, tt.answer, false}, n)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("in pieces of %d (-want +got):\n%s", n, diff)
				}
			}
		})
	}
}

func TestStreamsGetOpenAIsNames(t *testing.T) {
	const answer = `: OPENROUTER PROCESSING

data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","reasoning":"hm"}}]}

data: {"id":"1","choices":[{"index":0,"delta":{"content":"ho"},"finish_reason":null}]}

data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"eos"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}

data: [DONE]

`
	want := strings.NewReplacer(`"reasoning"`, `"reasoning_content"`, `"eos"`, `"stop"`).Replace(answer)
	for n := 1; n <= len(answer); n++ {
		got, result := received(t, providerAnswer{"together_ai", answer, true}, n)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in pieces of %d (-want +got):\n%s", n, diff)
		}
		wantResult := chat.Result{
			ID:           "1",
			Model:        "m",
			FinishReason: "stop",
			HasUsage:     true,
			Usage:        chat.Usage{Prompt: 3, Completion: 2, Total: 5},
		}
		if diff := cmp.Diff(wantResult, result); diff != "" {
			t.Fatalf("result (-want +got):\n%s", diff)
		}
	}
}

func TestUsageIsReadWhereServersPutIt(t *testing.T) {
	tests := []struct {
		name, provider, usage string
		want                  chat.Usage
	}{
		{
			"xAI counts reasoning beside the completion", "xai",
			`"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":19,"completion_tokens_details":{"reasoning_tokens":7}}`,
			chat.Usage{Prompt: 10, Completion: 9, Total: 19, Reasoning: 7},
		}, {
			"DeepSeek has its own word for cached tokens", "deepseek",
			`"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"prompt_cache_hit_tokens":8}`,
			chat.Usage{Prompt: 10, Completion: 2, Total: 12, Cached: 8},
		}, {
			"Groq may hide the usage of a stream", "groq",
			`"x_groq":{"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}`,
			chat.Usage{Prompt: 10, Completion: 2, Total: 12},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			stream := `data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],` + tt.usage + "}\n\ndata: [DONE]\n\n"
			_, result := received(t, providerAnswer{tt.provider, stream, true}, len(stream))
			if diff := cmp.Diff(tt.want, result.Usage); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlyRewrittenAnswersAreHeldBack(t *testing.T) {
	tests := []struct {
		name, provider string
		req            chat.Request
		want           bool
	}{
		{"a server in OpenAI's words", "openai", chat.Request{Endpoint: chat.Completions}, true},
		{"a server with words of its own", "groq", chat.Request{Endpoint: chat.Completions}, false},
		{"its streams are rewritten event by event", "groq", chat.Request{Endpoint: chat.Completions, Stream: true}, true},
		{"its other endpoints need nothing", "groq", chat.Request{Endpoint: chat.Embeddings}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := translator(t, tt.provider).Relays(&tt.req); got != tt.want {
				t.Errorf("relays: %v", got)
			}
		})
	}
}

func FuzzRewrittenAnswersStayJSON(f *testing.F) {
	f.Add(`{"choices":[{"message":{"reasoning":"hm","content":[{"type":"text","text":"x"}]},"finish_reason":"eos"}]}`, uint8(0))
	f.Add(`{"choices":[{"delta":{"tool_calls":[]},"finish_reason":""}]}`, uint8(3))
	family := openai.Family()
	f.Fuzz(func(t *testing.T, answer string, which uint8) {
		provider := family[int(which)%len(family)].Name
		whole, _ := received(t, providerAnswer{provider, answer, false}, max(1, len(answer)))
		bytewise, _ := received(t, providerAnswer{provider, answer, false}, 1)
		if whole != bytewise {
			t.Fatalf("cut bytewise: %q, whole: %q", bytewise, whole)
		}
		if valid([]byte(answer)) && !valid([]byte(whole)) {
			t.Fatalf("%q became %q", answer, whole)
		}
	})
}

func FuzzEveryServersRequestStaysJSON(f *testing.F) {
	f.Add(`{"model":"a","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"x"}],"cache_control":{}}],`+
		`"tools":[{"function":{"parameters":{"properties":{}}}}],"tool_choice":"required","seed":1}`, uint8(5))
	f.Add(`{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"x"}],"name":null}],`+
		`"max_completion_tokens":1,"max_tokens":null}`, uint8(7))
	family := openai.Family()
	f.Fuzz(func(t *testing.T, body string, which uint8) {
		req, err := chat.Parse(chat.Completions, []byte(body), "")
		if err != nil {
			return
		}
		deployment := target(family[int(which)%len(family)].Name, "claude")
		deployment.DropParams = true
		tr, err := openai.New(deployment)
		if err != nil {
			t.Fatal(err)
		}
		call, err := tr.Request(req)
		if err == nil && !valid(call.Body) {
			t.Fatalf("%s: %q became %q", deployment.Provider, body, call.Body)
		}
	})
}

func valid(text []byte) bool {
	_, err := chat.Parse(chat.Responses, text, "m")
	return err == nil
}
