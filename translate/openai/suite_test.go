package openai_test

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var suite = translatetest.Suite{Provider: "openai", Model: "gpt-4o", BaseURL: "https://api.openai.com/v1"}

func TestExchanges(t *testing.T) { translatetest.Run(t, suite) }

func FuzzRequest(f *testing.F) {
	defaults := []upstream.Param{
		{Name: "temperature", Value: jsontext.Value("0")}, {Name: "max_tokens", Value: jsontext.Value("9")},
		{Name: "extra_body", Value: jsontext.Value(`{"top_k":1,"temperature":1}`)},
	}
	translatetest.FuzzRequest(f, suite, []upstream.Target{
		{Model: "o3", Defaults: defaults, DropParams: true}, {BaseURL: "http://vllm/v1", CustomBase: true, DropAlso: []string{"a"}},
		{Provider: "mistral", DropParams: true}, {Provider: "deepseek", DropParams: true},
	},
		`{"model":"m","messages":[{"role":"developer","content":[{"type":"image_url","image_url":"data:,x"},`+
			`{"type":"file","file":{"file_data":"x"}}],"cache_control":{}}],"tool_choice":"auto","max_tokens":1,"max_completion_tokens":null}`,
		`{"model":"m","messages":[{"role":"tool","content":[{"type":"image_url","image_url":{"url":"a","format":"b"}}]}],`+
			`"tools":[{"function":{"cache_control":1}}],"stream":true,"stream_options":{"a":1},"extra_body":{"a":1,"stream":false,"model":"x"}}`,
		`{"model":"m","messages":"x","extra_body":{"a":1},"a":2,"stream":true,"stream_options":null,"temperature":null}`,
	)
}

func BenchmarkTranslator(b *testing.B) {
	translatetest.Bench(b, suite, translatetest.Answers{
		Answer: `{"id":"c1","object":"chat.completion","model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"` +
			translatetest.Words(200) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`,
		ContentType: eventStream,
		Chunk:       stream(chunk(`"delta":{"content":"a few words"},"finish_reason":null`)),
		Last:        stream(chunk(`"delta":{},"finish_reason":"stop"`), counts, "[DONE]"),
	})
}
