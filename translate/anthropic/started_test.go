package anthropic_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

func TestAStreamStartsWithItsFirstContent(t *testing.T) {
	event := func(data string) string { return "event: x\ndata: " + data + "\n\n" }
	begin := func(block string) string {
		return event(`{"type":"content_block_start","index":0,"content_block":` + block + `}`)
	}
	grow := func(delta string) string {
		return event(`{"type":"content_block_delta","index":0,"delta":` + delta + `}`)
	}
	opening := []string{
		": comment\n\n", event(`{"type":"ping"}`),
		event(`{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"usage":{"input_tokens":3,` +
			`"output_tokens":1}}}`),
		event(`{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":1}}`), event(`{"type":"news"}`),
	}
	text := append(opening[:len(opening):len(opening)], begin(`{"type":"text","text":""}`), grow(`{"type":"text_delta","text":""}`))
	translatetest.Starts(t, suite, translatetest.Opening{Silent: text, Carriers: []string{
		grow(`{"type":"text_delta","text":"a"}`),
		event(`{"type":"message_delta","delta":{"stop_reason":"refusal"},"usage":{"output_tokens":1}}`),
		begin(`{"type":"server_tool_use","id":"s","name":"web_search"}`),
	}})
	thinking := append(opening[:len(opening):len(opening)], begin(`{"type":"thinking","thinking":""}`))
	translatetest.Starts(t, suite, translatetest.Opening{Silent: thinking, Carriers: []string{
		grow(`{"type":"thinking_delta","thinking":"a"}`),
	}})
	translatetest.Starts(t, suite, translatetest.Opening{Silent: opening, Carriers: []string{
		begin(`{"type":"tool_use","id":"t","name":"f","input":{}}`), begin(`{"type":"text","text":"a"}`),
	}})
	failed := append(opening, event(`{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`))
	translatetest.Starts(t, suite, translatetest.Opening{Silent: failed})
}
