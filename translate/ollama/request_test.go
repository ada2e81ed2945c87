package ollama_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const hi = `"messages":[{"role":"user","content":"hi"}]`

func TestRequestParameters(t *testing.T) {
	const schema = `{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},"$defs":{"A":{"type":"string"}}}`
	tests := map[string]struct {
		target upstream.Target
		params string // of the request
		want   string // members of the body after stream
	}{
		"sampling goes to options, its numbers as they are": {
			params: `"temperature":0.10,"top_p":1,"seed":7,"max_tokens":5,"stop":"x","frequency_penalty":0.5,"n":1`,
			want:   `"options":{"temperature":0.1,"top_p":1,"seed":7,"frequency_penalty":0.5,"num_predict":5,"stop":["x"]}`,
		},
		"a deployment's defaults hold where the client says nothing": {
			target: upstream.Target{Defaults: []upstream.Param{
				{Name: "num_ctx", Value: []byte("8192")}, {Name: "keep_alive", Value: []byte(`"5m"`)}, {Name: "temperature", Value: []byte("1")},
			}},
			params: `"temperature":0`,
			want:   `"keep_alive":"5m","options":{"temperature":0,"num_ctx":8192}`,
		},
		"Ollama's own options are merged in": {
			params: `"options":{"num_ctx":1,"mirostat":2},"mirostat":0`,
			want:   `"options":{"num_ctx":1,"mirostat":2}`,
		},
		"a format may be any JSON": {params: `"response_format":{"type":"json_object"}`, want: `"format":"json"`},
		"a schema is sent as it is": {
			params: `"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + schema + `}}`,
			want:   `"format":` + schema,
		},
		"effort is on or off":      {params: `"reasoning_effort":"low"`, want: `"think":true`},
		"no effort is off":         {params: `"reasoning_effort":"none"`, want: `"think":false`},
		"hardly any effort is off": {params: `"reasoning_effort":"minimal"`, want: `"think":false`},
		"gpt-oss has levels": {
			target: upstream.Target{Model: "gpt-oss:20b"},
			params: `"reasoning_effort":"medium"`,
			want:   `"think":"medium"`,
		},
		"gpt-oss has no more than three": {
			target: upstream.Target{Model: "gpt-oss:20b"},
			params: `"reasoning_effort":"xhigh"`,
			want:   `"think":"high"`,
		},
		"Anthropic's thinking":                       {params: `"thinking":{"type":"enabled","budget_tokens":9}`, want: `"think":true`},
		"log probabilities stand beside the options": {params: `"logprobs":true,"top_logprobs":2`, want: `"logprobs":true,"top_logprobs":2`},
		"what nobody misses is dropped": {
			params: `"user":"u","metadata":{},"store":true,"service_tier":"auto","parallel_tool_calls":true,"modalities":["text"]`,
		},
		"no tools for nobody to choose": {params: `"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none"`},
		"legacy functions are wrapped": {
			params: `"functions":[{"name":"f","parameters":{"type":"object"}}]`,
			want:   `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]`,
		},
		"drop_params drops what Ollama lacks": {
			target: upstream.Target{DropParams: true},
			params: `"logit_bias":{"1":1},"n":2,"tools":[{"type":"web_search"}]`,
		},
		"additional_drop_params and allowed_openai_params": {
			target: upstream.Target{DropAlso: []string{"seed", "stop"}, AllowAlso: []string{"verbosity", "draft"}},
			params: `"seed":1,"stop":"x","verbosity":"low","draft":true`,
			want:   `"verbosity":"low","draft":true`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := "{" + hi + "," + test.params + "}"
			call, err := suite.Bind(t, test.target).Request(translatetest.Request(t, chat.Completions, request))
			if err != nil {
				t.Fatal(err)
			}
			model := test.target.Model
			if model == "" {
				model = "llama3.2"
			}
			want := `{"model":"` + model + `",` + hi + `,"stream":false`
			if test.want != "" {
				want += "," + test.want
			}
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want+"}")), translatetest.Canonical(t, call.Body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestMessages(t *testing.T) {
	tests := map[string]struct{ messages, want string }{
		"text parts are one string and images stand beside it": {
			`{"role":"user","content":[{"type":"text","text":"a "},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}},` +
				`{"type":"text","text":"b"}]}`,
			`{"role":"user","content":"a b","images":["AA"]}`,
		},
		"a data: URL may be spelt in any case, and escaped": {
			`{"role":"user","content":[{"type":"image_url","image_url":{"url":"DATA:Image/PNG;Name=x;BASE64,AA=="}},` +
				`{"type":"image_url","image_url":{"url":"data:image/bmp,%42M"}}]}`,
			`{"role":"user","content":"","images":["AA==","Qk0="]}`,
		},
		"roles Ollama has, neighbours kept": {
			`{"role":"developer","content":"a"},{"role":"system","content":"b"},{"role":"assistant","content":null,"reasoning_content":"hm"}`,
			`{"role":"system","content":"a"},{"role":"system","content":"b"},{"role":"assistant","content":"","thinking":"hm"}`,
		},
		"calls have objects and their results the function's name": {
			`{"role":"assistant","content":"t","tool_calls":[{"id":"c1","function":{"name":"f","arguments":"{\"x\":1.0}"}},{"id":"c2",
			"function":{"name":"g","arguments":""}}]},
			 {"role":"tool","tool_call_id":"c2","content":"2"},{"role":"tool","tool_call_id":"lost","content":"?"},{"role":"function","name":"h",
			"content":"3"}`,
			`{"role":"assistant","content":"t","tool_calls":[{"id":"c1","function":{"name":"f","arguments":{"x":1.0}}},{"id":"c2",
			"function":{"name":"g","arguments":{}}}]},
			 {"role":"tool","content":"2","tool_name":"g","tool_call_id":"c2"},{"role":"tool","content":"?","tool_call_id":"lost"},{"role":"tool",
			"content":"3","tool_name":"h"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			call, err := suite.Bind(t, upstream.Target{}).Request(translatetest.Request(t, chat.Completions,
				`{"messages":[`+test.messages+`],"stream":true}`))
			if err != nil {
				t.Fatal(err)
			}
			want := `{"model":"llama3.2","messages":[` + test.want + `],"stream":true}`
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want)), translatetest.Canonical(t, call.Body)); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestRefusals(t *testing.T) {
	tests := map[string]struct{ request, param, message string }{
		"all parameters Ollama lacks are named": {
			`{` + hi + `,"logit_bias":{"1":1},"n":2,"modalities":["audio"]}`, "logit_bias",
			"ollama does not support parameters: logit_bias, modalities, n; set drop_params: true to drop them",
		},
		"an image on the web": {
			`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://h/a.png"}}]}]}`, "messages",
			"messages[0]: content[0]: ollama takes no image from elsewhere: send it as a data: URL in base64",
		},
		"audio": {
			`{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA","format":"wav"}}]}]}`, "messages",
			`messages[0]: content[0]: ollama takes text and images, not "input_audio" parts`,
		},
		"arguments that are no object": {
			`{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{"}}]}]}`, "messages",
			"messages[0]: tool_calls[0]: the arguments of a function call must be a JSON object",
		},
		"a tool that is no function": {
			`{` + hi + `,"tools":[{"type":"web_search"}]}`, "tools",
			"tools[0]: ollama knows functions only; set drop_params: true to drop others",
		},
		"an effort nobody knows": {
			`{` + hi + `,"reasoning_effort":"heroic"}`, "reasoning_effort",
			"'reasoning_effort' must be none, minimal, low, medium, high or xhigh",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := suite.Bind(t, upstream.Target{}).Request(translatetest.Request(t, chat.Completions, test.request))
			if diff := cmp.Diff(upstream.BadRequest(test.param, test.message), translatetest.Refusal(t, err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestEmbeddings(t *testing.T) {
	call, err := suite.Bind(t, upstream.Target{}).Request(translatetest.Request(t, chat.Embeddings,
		`{"input":["a","b"],"dimensions":2,"truncate":false,"num_ctx":9,"user":"u","encoding_format":"base64"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `/api/embed {"model":"llama3.2","input":["a","b"],"dimensions":2,"truncate":false,"options":{"num_ctx":9}}`
	if diff := cmp.Diff(want, call.Path+" "+string(call.Body)); diff != "" {
		t.Errorf("call (-want +got):\n%s", diff)
	}
}

func TestRequestLegacyCompletion(t *testing.T) {
	call, err := suite.Bind(t, upstream.Target{}).Request(translatetest.Request(t, chat.TextCompletions, `{"prompt":"Once"}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"model":"llama3.2","messages":[{"role":"user","content":"Once"}],"stream":false}`, string(call.Body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}
