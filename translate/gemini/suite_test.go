package gemini_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var suite = translatetest.Suite{Provider: "gemini", Model: "gemini-2.5-flash", BaseURL: "https://generativelanguage.googleapis.com/v1beta"}

func TestExchanges(t *testing.T) { translatetest.Run(t, suite) }

func FuzzRequest(f *testing.F) {
	allowed := []string{"a"}
	translatetest.FuzzRequest(f, suite, []upstream.Target{
		{Model: "gemini-1.5-pro", DropParams: true, AllowAlso: allowed}, {Model: "gemini-3-pro-preview", DropParams: true, AllowAlso: allowed},
	},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:,x"}]}],"stop":["a"],"generationConfig":{"a":1}}`,
		`{"messages":[{"role":"assistant","content":"t","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"a",`+
			`"content":"{}"}],"tools":[{"googleSearch":{}}]}`,
		`{"messages":[{"role":"system","content":"s"}],"extra_body":{"google":{"thinking_config":{}}},"audio":{},"modalities":[],`+
			`"thinking":{},"reasoning_effort":"low"}`,
		`{"messages":[],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":["string","null"]}}}],`+
			`"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{"schema":{}}}}`,
	)
}

func FuzzDecoder(f *testing.F) {
	translatetest.FuzzDecoder(f, suite, nil,
		`data: {"candidates":[{"content":{"parts":[{"text":"ä"},{"functionCall":{"name":"f"}},{"inlineData":{"mimeType":"image/png"}}]},`+
			`"finishReason":"STOP"}]}`+"\r\n\r\n",
		`{"candidates":[{"index":3,"logprobsResult":{"chosenCandidates":[{"token":"a"}],"topCandidates":[{"candidates":[{},{}]}]}}],`+
			`"usageMetadata":{}}`,
		`{"embeddings":[{"values":[1e400]}]}`,
		"data: {\"error\":\"x\"}\n\n",
	)
}

func BenchmarkTranslator(b *testing.B) {
	translatetest.Bench(b, suite, translatetest.Answers{
		Answer: `{"candidates":[{"content":{"parts":[{"text":"` + translatetest.Words(200) + `"}]},"finishReason":"STOP"}],` +
			`"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7},"modelVersion":"g","responseId":"r"}`,
		Chunk: `data: {"candidates":[{"content":{"parts":[{"text":"a few words"}],"role":"model"},"index":0}],` +
			`"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2,"totalTokenCount":7},"modelVersion":"g","responseId":"r"}` + "\r\n\r\n",
		Last: `data: {"candidates":[{"finishReason":"STOP"}]}` + "\r\n\r\n",
	})
}
