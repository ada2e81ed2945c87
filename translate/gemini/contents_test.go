package gemini_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestRequestMessages(t *testing.T) {
	tests := map[string]struct{ model, messages, want string }{
		"parts follow each other in one turn": {
			messages: `{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":""}]}`,
			want:     `"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]`,
		},
		"empty messages leave no turn": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":"b"}`,
			want:     `"contents":[{"role":"user","parts":[{"text":"a"},{"text":"b"}]}]`,
		},
		"system messages of the whole conversation are hoisted": {
			messages: `{"role":"system","content":"a"},{"role":"user","content":"b"},{"role":"developer","content":[{"type":"text","text":"c"}]}`,
			want:     `"contents":[{"role":"user","parts":[{"text":"b"}]}],"systemInstruction":{"parts":[{"text":"a"},{"text":"c"}]}`,
		},
		"parts of one system message are one text": {
			messages: `{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}`,
			want:     `"contents":[{"role":"user","parts":[{"text":"c"}]}],"systemInstruction":{"parts":[{"text":"ab"}]}`,
		},
		"what the model thought goes back with what it said": {
			messages: `{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning_content":"r"},{"role":"user","content":"c"},` +
				`{"role":"assistant","content":null,"reasoning_content":"alone"}`,
			want: `"contents":[{"role":"user","parts":[{"text":"a"}]},{"role":"model","parts":[{"thought":true,"text":"r"},{"text":"b"}]},` +
				`{"role":"user","parts":[{"text":"c"}]}]`,
		},
		"files come from anywhere and images carry no resolution by default": {
			messages: `{"role":"user","content":[
				{"type":"image_url","image_url":{"url":"https://h/c.JPG?x=1","detail":"auto"}},
				{"type":"image_url","image_url":{"url":"https://h/page"}},
				{"type":"image_url","image_url":{"url":"gs://b/v","format":"video/mp4"}},
				{"type":"image_url","image_url":{"url":"data:text/plain,a%20b"}},
				{"type":"file","file":{"file_data":"QUJD","filename":"a.csv"}},
				{"type":"file","file":{"file_id":"https://generativelanguage.googleapis.com/v1beta/files/f1","format":"application/pdf"}},
				{"type":"input_audio","input_audio":{"data":"QUJD","format":"mp3"}}]}`,
			want: `"contents":[{"role":"user","parts":[
				{"fileData":{"mimeType":"image/jpeg","fileUri":"https://h/c.JPG?x=1"}},
				{"fileData":{"fileUri":"https://h/page"}},
				{"fileData":{"mimeType":"video/mp4","fileUri":"gs://b/v"}},
				{"inlineData":{"mimeType":"text/plain","data":"YSBi"}},
				{"inlineData":{"mimeType":"text/csv","data":"QUJD"}},
				{"fileData":{"mimeType":"application/pdf","fileUri":"https://generativelanguage.googleapis.com/v1beta/files/f1"}},
				{"inlineData":{"mimeType":"audio/mp3","data":"QUJD"}},{"text":" "}]}]`,
		},
		"the highest detail asked for is the request's": {
			messages: `{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA","detail":"high"}},
				{"type":"image_url","image_url":{"url":"data:image/png;base64,BB","detail":"low"}}]}`,
			want: `"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}},{"inlineData":{"mimeType":"image/png",
			"data":"BB"}},{"text":" "}]}],
				"generationConfig":{"mediaResolution":"MEDIA_RESOLUTION_HIGH"}`,
		},
		"Gemini 3 has a detail for each image": {
			model:    "gemini-3-flash-preview",
			messages: `{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA","detail":"low"}}]}`,
			want: `"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA"},
			"mediaResolution":{"level":"MEDIA_RESOLUTION_LOW"}},{"text":" "}]}],
				"generationConfig":{"temperature":1.0}`,
		},
		"tool results are wrapped unless they are objects, and keep their images": {
			messages: `{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":""}},{"id":"b",
			"function":{"name":"g","arguments":"{\"x\":1.0}"}}]},
				{"role":"tool","tool_call_id":"b","content":"{\"y\":1e2}"},
				{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"[1]"},{"type":"image_url",
				"image_url":{"url":"data:image/png;base64,AA"}}]}`,
			want: `"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"g","args":{"x":1.0}}}]},
				{"role":"user","parts":[{"functionResponse":{"name":"g","response":{"y":1e2}}},
				{"functionResponse":{"name":"f","response":{"content":"[1]"},"parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}}]}}]}]`,
		},
		"legacy function calls have no id": {
			messages: `{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},` +
				`{"role":"function","name":"f","content":"1"}`,
			want: `"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{}}}]},
				{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"content":"1"}}}]}]`,
		},
		"who shows something without a word says a space, in each turn of the user's": {
			messages: `{"role":"user","content":[{"type":"image_url","image_url":{"url":"DATA:Image/PNG;charset=x;BASE64,AA"}}]},
			{"role":"assistant","content":"a","tool_calls":[{"id":"1","function":{"name":"f"}}]},
				{"role":"tool","tool_call_id":"1","content":"r"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"user",
				"content":[{"type":"input_audio","input_audio":{"data":"BB","format":"wav"}}]}`,
			want: `"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA"}},{"text":" "}]},{"role":"model",
			"parts":[{"text":"a"},{"functionCall":{"name":"f","args":{}}}]},
				{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"content":"r"}}}]},{"role":"model","parts":[{"text":"b"}]},
				{"role":"user","parts":[{"text":"c"},{"inlineData":{"mimeType":"audio/wav","data":"BB"}}]}]`,
		},
		"LiteLLM's list of signatures is the text's, unless a call has it": {
			messages: `{"role":"user","content":"q"},{"role":"assistant","content":"t","provider_specific_fields":{"thought_signatures":["U1Q="]}},
			{"role":"user","content":"q"},
				{"role":"assistant","content":"u","provider_specific_fields":{"thought_signatures":["U0M="]},"tool_calls":[{"id":"a",
				"function":{"name":"f"},"provider_specific_fields":{"thought_signature":"U0M="}}]}`,
			want: `"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"text":"t","thoughtSignature":"U1Q="}]},
			{"role":"user","parts":[{"text":"q"}]},
				{"role":"model","parts":[{"text":"u"},{"functionCall":{"name":"f","args":{}},"thoughtSignature":"U0M="}]}]`,
		},
		"signatures go back on the part they came with": {
			messages: `{"role":"user","content":"q"},{"role":"assistant","content":"t","provider_specific_fields":{"thought_signature":"U1Q="},
				"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"U0M="}}},{"id":"b",
				"function":{"name":"f","arguments":"{}"}}]}`,
			want: `"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"text":"t","thoughtSignature":"U1Q="},
				{"functionCall":{"name":"f","args":{}},"thoughtSignature":"U0M="},{"functionCall":{"name":"f","args":{}}}]}]`,
		},
		"a signature that came without text goes back without": {
			messages: `{"role":"assistant","content":null,"provider_specific_fields":{"thought_signature":"U1Q="}}`,
			want:     `"contents":[{"role":"model","parts":[{"text":"","thoughtSignature":"U1Q="}]}]`,
		},
		"Gemini 3 gets call ids, and a stand-in where the first signature of a turn is lost": {
			model: "gemini-3-pro-preview",
			messages: `{"role":"assistant","content":null,"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b",
			"function":{"name":"f","arguments":"{}"}}]},
				{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"},
				{"role":"assistant","content":null,"tool_calls":[{"id":"c__thought__U0M=","function":{"name":"f","arguments":"{}"}}]},{"role":"tool",
				"tool_call_id":"c__thought__U0M=","content":"3"}`,
			want: `"contents":[{"role":"model","parts":[
				{"functionCall":{"name":"f","args":{},"id":"a"},"thoughtSignature":"c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="},
				{"functionCall":{"name":"f","args":{},"id":"b"}}]},
				{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"content":"1"},"id":"a"}},{"functionResponse":{"name":"f",
				"response":{"content":"2"},"id":"b"}}]},
				{"role":"model","parts":[{"functionCall":{"name":"f","args":{},"id":"c"},"thoughtSignature":"U0M="}]},
				{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"content":"3"},"id":"c"}}]}],
				"generationConfig":{"temperature":1.0}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := body(t, upstream.Target{Model: test.model}, `{"messages":[`+test.messages+`]}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte("{"+test.want+"}")), got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestTools(t *testing.T) {
	tests := map[string]struct{ params, want string }{
		"each of Google's own tools has its entry": {
			`"tools":[{"googleSearch":{},"code_execution":{}},{"type":"web_search"},{"type":"url_context","url_context":{}}]`,
			`"tools":[{"googleSearch":{}},{"codeExecution":{}},{"googleSearch":{}},{"urlContext":{}}]`,
		},
		"search gives way to functions": {
			`"tools":[{"googleSearch":{}},{"type":"function","function":{"name":"f"}},{"codeExecution":{}}],"web_search_options":{}`,
			`"tools":[{"functionDeclarations":[{"name":"f"}]},{"codeExecution":{}}]`,
		},
		"web_search_options is a search":     {`"web_search_options":{"search_context_size":"low"}`, `"tools":[{"googleSearch":{}}]`},
		"a choice without functions is none": {`"tool_choice":"required"`, ``},
		"legacy functions and function_call": {
			`"functions":[{"name":"f","description":"d"}],"function_call":{"name":"f"}`,
			`"tools":[{"functionDeclarations":[{"name":"f","description":"d"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY",` +
				`"allowedFunctionNames":["f"]}}`,
		},
		"the client's own toolConfig holds": {
			`"tools":[{"type":"function","function":{"name":"f"}}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}`,
			`"tools":[{"functionDeclarations":[{"name":"f"}]}],"toolConfig":{"functionCallingConfig":{"mode":"VALIDATED"}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]`
			if test.want != "" {
				want += "," + test.want
			}
			got := body(t, upstream.Target{}, `{`+hi+`,`+test.params+`}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want+"}")), got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}
