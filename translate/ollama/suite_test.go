package ollama_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var suite = translatetest.Suite{Provider: "ollama", Model: "llama3.2", BaseURL: "http://localhost:11434"}

func TestExchanges(t *testing.T) { translatetest.Run(t, suite) }

func FuzzRequest(f *testing.F) {
	translatetest.FuzzRequest(f, suite, []upstream.Target{{DropParams: true, AllowAlso: []string{"model", "options"}}},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:;base64,x"}]}],"stop":["a"],"options":{"a":1}}`,
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"a",`+
			`"content":"{}"}],"functions":[{"name":"f"}]}`,
		`{"messages":[],"tools":[{"function":{"name":"f"}}],"thinking":{},"response_format":{"type":"json_object"},"think":true,"model":"x"}`,
	)
}

func FuzzDecoder(f *testing.F) {
	translatetest.FuzzDecoder(f, suite, nil,
		`{"message":{"content":"ä","tool_calls":[{"function":{"arguments":"x"}}]},"done":true,"logprobs":[{"token":"a"}]}`+"\r\n",
		"{\"error\":\"x\"}\n{}",
		`{"embeddings":[[1e400],[]]}`,
	)
}

func BenchmarkTranslator(b *testing.B) {
	translatetest.Bench(b, suite, translatetest.Answers{
		Answer: `{"model":"m","message":{"role":"assistant","content":"` + translatetest.Words(200) +
			`"},"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":200}`,
		Chunk: `{"model":"m","created_at":"2025-06-01T10:00:00.123456789Z","message":{"role":"assistant","content":"word"},"done":false}` + "\n",
		Last:  `{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}` + "\n",
	})
}
