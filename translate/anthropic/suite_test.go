package anthropic_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var suite = translatetest.Suite{Provider: "anthropic", Model: "claude-sonnet-4-5", BaseURL: "https://api.anthropic.com"}

func TestExchanges(t *testing.T) { translatetest.Run(t, suite) }

func FuzzRequest(f *testing.F) {
	allowed := []string{"a"}
	translatetest.FuzzRequest(f, suite, []upstream.Target{
		{Model: "claude-sonnet-4-20250514", DropParams: true, AllowAlso: allowed},
		{Model: "claude-opus-4-7", DropParams: true, AllowAlso: allowed},
	},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:,x"},{"type":"document","title":"t"}]}],"stop":["a"],`+
			`"output_config":{"a":1},"user":"u"}`,
		`{"messages":[{"role":"assistant","content":"t ","tool_calls":[{"id":"a.","function":{"name":"f."}}]},`+
			`{"role":"tool","tool_call_id":"a.","content":["{}"],"cache_control":{}}],"tools":[{"type":"bash_20250124","name":"bash"}]}`,
		`{"messages":[{"role":"system","content":"s","cache_control":{}}],"extra_body":{"top_k":1,"a":2},`+
			`"web_search_options":{"user_location":{"city":"x"}},"reasoning_effort":"low"}`,
		`{"messages":[{"role":"assistant","thinking_blocks":[{"type":"thinking","signature":"s"}],"cache_control":{}}],
		"tools":[{"type":"function","function":{"name":"é","strict":true,"parameters":{"oneOf":[{}],"anyOf":[true]}}}],
		"tool_choice":"required","response_format":{"type":"json_schema","json_schema":{"schema":{"properties":{"a":{"minimum":1,
		"description":"d"}}}}}}`,
	)
}

func FuzzDecoder(f *testing.F) {
	requests := []*chat.Request{translatetest.Request(f, chat.Completions, schema+`,"stream":true}`)}
	translatetest.FuzzDecoder(f, suite, requests,
		events(begin,
			`{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","name":"json_tool_call","input":{"a":1,"a":2}}}`, end, over),
		events(`{"type":"content_block_start","content_block":{"type":"x","content":[{"a":1,"a":2}]}}`,
			`{"type":"content_block_delta","delta":{"type":"citations_delta","citation":{"ä":1}}}`),
		events(`{"type":"content_block_start","content_block":{"type":"thinking","thinking":"a","signature":"s"}}`, end, over),
		reply(`{"type":"text","text":"ä","citations":[1,2]},{"type":"tool_use","name":"f"},{"type":"server_tool_use","input":{}}`, "tool_use"),
		events(`{"type":"error","error":{"type":"api_error"}}`),
	)
}

func BenchmarkTranslator(b *testing.B) {
	translatetest.Bench(b, suite, translatetest.Answers{
		Answer: reply(`{"type":"text","text":"`+translatetest.Words(200)+`"}`, "end_turn"),
		First:  events(begin, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`),
		Chunk: "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\"," +
			"\"text\":\"a few words\"}}\n\n",
		Last: events(`{"type":"content_block_stop","index":0}`, end, over),
	})
}
