package anthropic_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const dummy = `"tools":[{"name":"dummy_tool","description":"This is a dummy tool call","input_schema":{"type":"object","properties":{}}}]`

func TestConversation(t *testing.T) {
	tests := map[string]struct{ messages, want string }{
		"system text goes to the top from wherever it stands": {
			messages: `{"role":"system","content":"A"},{"role":"user","content":"a"},{"role":"developer","content":[{"type":"text","text":" "},` +
				`{"type":"text","text":"B"}]},{"role":"user","content":"b"}`,
			want: `"system":[{"type":"text","text":"A"},{"type":"text","text":"B"}],
				"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
		},
		"a system message alone gets a turn to answer": {
			messages: `{"role":"system","content":"A"}`,
			want:     `"system":[{"type":"text","text":"A"}],"messages":[{"role":"user","content":[{"type":"text","text":"."}]}]`,
		},
		"an empty system message is none": {
			messages: `{"role":"system","content":""},{"role":"user","content":"a"}`,
			want:     `"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]`,
		},
		"the user speaks first": {
			messages: `{"role":"assistant","content":"Hello"},{"role":"user","content":"a"}`,
			want: `"messages":[{"role":"user","content":[{"type":"text","text":"."}]},{"role":"assistant","content":[{"type":"text",
			"text":"Hello"}]},
				{"role":"user","content":[{"type":"text","text":"a"}]}]`,
		},
		"empty text of a user is filled in": {
			messages: `{"role":"user","content":" \n"}`,
			want: `"messages":[{"role":"user","content":[{"type":"text","text":"[System: Empty message content sanitised to satisfy ` +
				`protocol]"}]}]`,
		},
		"empty text beside other parts is left out": {
			messages: `{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"a"},"b"]}`,
			want:     `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
		},
		"an assistant who said nothing is left out": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":null},{"role":"user","content":"b"}`,
			want:     `"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
		},
		"the start of an answer ends without white space": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"b "},{"type":"text","text":"c \n"}]},` +
				`{"role":"system","content":"S"}`,
			want: `"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
				{"role":"assistant","content":[{"type":"text","text":"b "},{"type":"text","text":"c"}]}]`,
		},
		"an answer that has not begun is left out": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":" "}`,
			want:     `"messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]`,
		},
		"a refusal is what the assistant said": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"No."},{"role":"user","content":"b"},` +
				`{"role":"assistant","content":[{"type":"refusal","refusal":"No!"}]}`,
			want: `"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"text","text":"No."}]},
				{"role":"user","content":[{"type":"text","text":"b"}]},{"role":"assistant","content":[{"type":"text","text":"No!"}]}]`,
		},
		"signed thinking goes back, other reasoning does not": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"r",
			"thinking_blocks":[{"type":"thinking","thinking":"t"},
				{"type":"thinking","thinking":"u","signature":"s"},{"type":"redacted_thinking","data":"d"}]},{"role":"user","content":"c"}`,
			want: `"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"thinking",
			"thinking":"u","signature":"s"},
				{"type":"redacted_thinking","data":"d"},{"type":"text","text":"b"}]},{"role":"user","content":[{"type":"text","text":"c"}]}]`,
		},
		"results stand before what the user said meanwhile": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":""}}]},
				{"role":"user","content":"quick"},{"role":"system","content":"S"},{"role":"tool","tool_call_id":"1","content":""}`,
			want: dummy + `,"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
				{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":""},{"type":"text","text":"quick"}]}]`,
		},
		"a call said twice is one call": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}},` +
				`{"id":"1","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"1","content":"x"}`,
			want: dummy + `,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use",
			"id":"1","name":"f","input":{}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"x"}]}]`,
		},
		"ids that come again in later turns stay apart": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"f:0","function":{"name":"f"}}]},{"role":"tool",
			"tool_call_id":"f:0","content":"x"},
				{"role":"assistant","tool_calls":[{"id":"f:0","function":{"name":"f"}},{"id":"f.0","function":{"name":"f"}}]},{"role":"tool",
				"tool_call_id":"f.0","content":"z"},{"role":"tool","tool_call_id":"f:0","content":"y"}`,
			want: dummy + `,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use",
			"id":"f_0","name":"f","input":{}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"f_0","content":"x"}]},
				{"role":"assistant","content":[{"type":"tool_use","id":"f_0_2","name":"f","input":{}},{"type":"tool_use","id":"f_0_3","name":"f",
				"input":{}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"f_0_3","content":"z"},{"type":"tool_result","tool_use_id":"f_0_2",
				"content":"y"}]}]`,
		},
		"the legacy function_call finds its result by name": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":null,"function_call":{"name":"f.g","arguments":"{\"x\": ` +
				`1.0}"}},{"role":"function","name":"f.g","content":"x"}`,
			want: dummy + `,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use",
			"id":"call_1","name":"f_g","input":{"x": 1.0}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"x"}]}]`,
		},
		"a message's cache_control is its last block's": {
			messages: `{"role":"system","content":"S","cache_control":{"type":"ephemeral"}},{"role":"user","content":[{"type":"text","text":"a"},
			{"type":"text","text":"b"}],"cache_control":{"type":"ephemeral"}},
				{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"1","content":[{"type":"text",
				"text":"r"}],"cache_control":{"type":"ephemeral"}}`,
			want: dummy + `,"system":[{"type":"text","text":"S","cache_control":{"type":"ephemeral"}}],
				"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]},
				{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"r"}],
				"cache_control":{"type":"ephemeral"}}]}]`,
		},
		"a call keeps its cache_control": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f"},` +
				`"cache_control":{"type":"ephemeral"}}]},{"role":"tool","tool_call_id":"1","content":"r"}`,
			want: dummy + `,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},
				{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{},"cache_control":{"type":"ephemeral"}}]},
				{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"r"}]}]`,
		},
		"a block's own cache_control holds, thinking has none": {
			messages: `{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}],
			"cache_control":{"type":"ephemeral"}},
				{"role":"assistant","thinking_blocks":[{"type":"redacted_thinking","data":"d"}],"cache_control":{"type":"ephemeral"}},{"role":"user",
				"content":"b","cache_control":null}`,
			want: `"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]},
				{"role":"assistant","content":[{"type":"redacted_thinking","data":"d"}]},{"role":"user","content":[{"type":"text","text":"b"}]}]`,
		},
		"of more than four marks for caching the last four hold": {
			messages: `{"role":"system","content":"S","cache_control":{"type":"ephemeral"}},{"role":"user","content":"1",
			"cache_control":{"type":"ephemeral"}},{"role":"user","content":"2","cache_control":{"type":"ephemeral"}},
				{"role":"user","content":"3","cache_control":{"type":"ephemeral"}},{"role":"user","content":"4","cache_control":{"type":"ephemeral"}}`,
			want: `"system":[{"type":"text","text":"S"}],"messages":[{"role":"user","content":[{"type":"text","text":"1",
			"cache_control":{"type":"ephemeral"}},
				{"type":"text","text":"2","cache_control":{"type":"ephemeral"}},{"type":"text","text":"3","cache_control":{"type":"ephemeral"}},
				{"type":"text","text":"4","cache_control":{"type":"ephemeral"}}]}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{}, `{"messages":[`+test.messages+`]}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte("{"+test.want+"}")), members(t, got.Body, "tools", "system", "messages")); diff !=
				"" {
				t.Errorf("conversation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestContentParts(t *testing.T) {
	tests := map[string]struct{ part, want string }{
		"a jpg is a jpeg": {
			`{"type":"image_url","image_url":{"url":"data:image/jpg;base64,AAAA"}}`,
			`{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"AAAA"}}`,
		},
		"a hint wins over the data: URL": {
			`{"type":"image_url","image_url":{"url":"data:;base64,AAAA","format":"image/webp"}}`,
			`{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"AAAA"}}`,
		},
		"a PDF sent as an image": {
			`{"type":"image_url","image_url":"data:application/pdf;base64,AAAA"}`,
			`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}`,
		},
		"a PDF on the web": {
			`{"type":"image_url","image_url":"https://x/a.PDF?b#c"}`, `{"type":"document","source":{"type":"url","url":"https://x/a.PDF?b#c"}}`,
		},
		"an image on the web": {
			`{"type":"image_url","image_url":"https://x/render.html"}`, `{"type":"image","source":{"type":"url","url":"https://x/render.html"}}`,
		},
		"text is sent as text": {
			`{"type":"file","file":{"file_data":"data:text/csv;base64,YSxiCg=="}}`,
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a,b\n"}}`,
		},
		"text in a data: URL of its own": {
			`{"type":"file","file":{"file_data":"data:,a%20b"}}`,
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a b"}}`,
		},
		"an image that is not base64": {
			`{"type":"image_url","image_url":"data:image/png,%00"}`,
			`{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}`,
		},
		"a bare file is what its name says": {
			`{"type":"file","file":{"filename":"a.pdf","file_data":"AAAA"}}`,
			`{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}`,
		},
		"a file on the web is a document": {
			`{"type":"file","file":{"file_id":"https://x/report"}}`, `{"type":"document","source":{"type":"url","url":"https://x/report"}}`,
		},
		"an image file on the web": {
			`{"type":"file","file":{"file_id":"https://x/a.png"}}`, `{"type":"image","source":{"type":"url","url":"https://x/a.png"}}`,
		},
		"a file of the Files API": {
			`{"type":"file","file":{"file_id":"file_1"},"cache_control":{"type":"ephemeral"}}`,
			`{"type":"document","source":{"type":"file","file_id":"file_1"},"cache_control":{"type":"ephemeral"}}`,
		},
		"an image of the Files API": {
			`{"type":"file","file":{"file_id":"file_1","format":"image/png"}}`, `{"type":"image","source":{"type":"file","file_id":"file_1"}}`,
		},
		"Anthropic's own blocks pass": {
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"},"title":"T"}`,
			`{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"},"title":"T"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{}, `{"messages":[{"role":"user","content":["a",`+test.part+`]}]}`)
			want := `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},` + test.want + `]}]}`
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want)), members(t, got.Body, "messages")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
	got := call(t, upstream.Target{}, `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file_1"}}]}]}`)
	if beta := got.Header.Get("anthropic-beta"); beta != "files-api-2025-04-14" {
		t.Errorf("beta of the Files API: %q", beta)
	}
}

func TestContentPartRefusals(t *testing.T) {
	tests := map[string]struct{ part, want string }{
		"a page that would have to be fetched": {
			`{"type":"image_url","image_url":"http://x/a.png"}`, `must be a data: or https: URL, not "http": send the content as a data: URL`,
		},
		"a path of the client's machine": {`{"type":"image_url","image_url":"/a.png"}`, `must be a data: or https: URL`},
		"another provider's storage": {
			`{"type":"file","file":{"file_id":"gs://a/b"}}`, `must be a data: or https: URL, not "gs": send the content as a data: URL`,
		},
		"a kind of image nobody reads": {
			`{"type":"image_url","image_url":"data:image/tiff;base64,AAAA"}`,
			`anthropic takes jpeg, png, gif and webp images, PDF and text, not "image/tiff"`,
		},
		"a data: URL without data": {`{"type":"image_url","image_url":"data:image/png"}`, `a data: URL needs a comma before its data`},
		"an empty file":            {`{"type":"file","file":{}}`, `a file part needs file_data or file_id`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := suite.Bind(t, upstream.Target{}).Request(translatetest.Request(t, chat.Completions,
				`{"messages":[{"role":"user","content":[`+test.part+`]}]}`))
			if diff := cmp.Diff("messages[0]: content[0]: "+test.want, translatetest.Refusal(t, err).Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}
