package gemini_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const hi = `"messages":[{"role":"user","content":"hi"}]`

func TestRequestParameters(t *testing.T) {
	tests := map[string]struct {
		target upstream.Target
		params string // of the request
		want   string // members of the body after contents
	}{
		"numbers keep their text and null is absent": {
			params: `"temperature":0.10,"top_k":5,"seed":null`,
			want:   `"generationConfig":{"temperature":0.1,"topK":5}`,
		},
		"a deployment's defaults hold where the client says nothing": {
			target: upstream.Target{
				Defaults: []upstream.Param{{Name: "temperature", Value: []byte("0.5")}, {Name: "max_tokens", Value: []byte("9")}},
			},
			params: `"max_completion_tokens":3`,
			want:   `"generationConfig":{"temperature":0.5,"maxOutputTokens":3}`,
		},
		"what nobody misses is dropped": {
			params: `"user":"u","metadata":{},"store":true,"parallel_tool_calls":false,"prompt_cache_key":"k"`,
		},
		"Google's own names are taken in both spellings, the first one holding": {
			params: `"responseModalities":["TEXT"],"image_config":{"aspectRatio":"1:1"},"cached_content":"cachedContents/1","top_p":1,"topP":2`,
			want: `"generationConfig":{"responseModalities":["TEXT"],"imageConfig":{"aspectRatio":"1:1"},"topP":1},` +
				`"cachedContent":"cachedContents/1"`,
		},
		"generationConfig and Google's extra_body are merged in": {
			params: `"temperature":1,"generationConfig":{"temperature":2,"futureField":true},` +
				`"extra_body":{"google":{"thinking_config":{"thinkingBudget":1}}}`,
			want: `"generationConfig":{"temperature":1,"futureField":true,"thinkingConfig":{"thinkingBudget":1}}`,
		},
		"speech asks for audio": {
			params: `"audio":{"voice":"Kore","format":"pcm16"}`,
			want: `"generationConfig":{"speechConfig":{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"Kore"}}},` +
				`"responseModalities":["AUDIO"]}`,
		},
		"modalities are in capitals": {
			params: `"modalities":["text","image"]`,
			want:   `"generationConfig":{"responseModalities":["TEXT","IMAGE"]}`,
		},
		"service tiers have other names": {params: `"service_tier":"default"`, want: `"serviceTier":"standard"`},
		"additional_drop_params drops decoded parameters too": {
			target: upstream.Target{DropAlso: []string{"response_format", "logit_bias", "stop"}},
			params: `"response_format":{"type":"json_object"},"logit_bias":{"1":1},"stop":"x","n":2`,
			want:   `"generationConfig":{"candidateCount":2}`,
		},
		"allowed_openai_params are passed as they are": {
			target: upstream.Target{AllowAlso: []string{"labels", "contents"}},
			params: `"labels":{"a":"b"},"contents":[]`,
			want:   `"labels":{"a":"b"}`,
		},
		"drop_params drops what Gemini lacks": {
			target: upstream.Target{DropParams: true},
			params: `"logit_bias":{"1":1},"min_p":0.1,"tools":[{"type":"mystery"}]`,
		},
		"Gemini 3 has no penalties and is given its default temperature": {
			target: upstream.Target{Model: "gemini-3-pro-preview"},
			params: `"presence_penalty":1,"frequency_penalty":1`,
			want:   `"generationConfig":{"temperature":1.0}`,
		},
		"an older model gets the schema in OpenAPI's form": {
			target: upstream.Target{Model: "gemini-1.5-pro"},
			params: `"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object",` +
				`"properties":{"b":{"type":"string"},"a":{"const":"x"}},"additionalProperties":false}}}`,
			want: `"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"object",
				"properties":{"b":{"type":"string"},"a":{"type":"string","enum":["x"]}},"propertyOrdering":["b","a"]}}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := "{" + hi
			if test.params != "" {
				request += "," + test.params
			}
			want := `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]`
			if test.want != "" {
				want += "," + test.want
			}
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want+"}")), body(t, test.target, request+"}")); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestThinking(t *testing.T) {
	tests := map[string]struct{ model, params, want string }{
		"a little, flash": {"gemini-2.5-flash", `"reasoning_effort":"minimal"`, `{"thinkingBudget":1,"includeThoughts":true}`},
		"a little, flash-lite": {
			"gemini-2.5-flash-lite", `"reasoning_effort":"minimal"`, `{"thinkingBudget":512,"includeThoughts":true}`,
		},
		"a little, pro":      {"gemini-2.5-pro", `"reasoning_effort":"minimal"`, `{"thinkingBudget":128,"includeThoughts":true}`},
		"medium":             {"gemini-2.5-pro", `"reasoning_effort":"medium"`, `{"thinkingBudget":2048,"includeThoughts":true}`},
		"more than there is": {"gemini-2.5-pro", `"reasoning_effort":"xhigh"`, `{"thinkingBudget":4096,"includeThoughts":true}`},
		"none":               {"gemini-2.5-flash", `"reasoning_effort":"none"`, `{"thinkingBudget":0,"includeThoughts":false}`},
		"a level from Gemini 3 on": {
			"gemini-3.1-pro-preview", `"reasoning_effort":"medium"`, `{"thinkingLevel":"medium","includeThoughts":true}`,
		},
		"Gemini 3 cannot stop": {
			"gemini-3-pro-preview", `"reasoning_effort":"none"`, `{"thinkingLevel":"low","includeThoughts":false}`,
		},
		"Gemini 3 Flash comes close": {
			"gemini-3-flash-preview", `"reasoning_effort":"none"`, `{"thinkingLevel":"minimal","includeThoughts":false}`,
		},
		"a budget of tokens": {
			"gemini-2.5-flash", `"thinking":{"type":"enabled","budget_tokens":7}`, `{"thinkingBudget":7,"includeThoughts":true}`,
		},
		"thinking disabled":      {"gemini-2.5-flash", `"thinking":{"type":"disabled"}`, `{"thinkingBudget":0}`},
		"Gemini 3 has no budget": {"gemini-3-pro", `"thinking":{"type":"enabled","budget_tokens":7}`, `{"includeThoughts":true}`},
		"thinking wins over an effort": {
			"gemini-2.5-flash", `"reasoning_effort":"low","thinking":{"type":"enabled","budget_tokens":7}`,
			`{"thinkingBudget":7,"includeThoughts":true}`,
		},
		"an unversioned name is current": {"gemini-flash-latest", `"reasoning_effort":"low"`, `{"thinkingBudget":1024,"includeThoughts":true}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := `{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"temperature":1,"thinkingConfig":` + test.want + `}}`
			got := body(t, upstream.Target{Model: test.model}, `{`+hi+`,"temperature":1,`+test.params+`}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want)), got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestRefusals(t *testing.T) {
	tests := map[string]struct {
		target  upstream.Target
		request string
		want    upstream.Error
	}{
		"all parameters Gemini lacks are named": {
			request: `{` + hi + `,"logit_bias":{"1":1},"verbosity":"low"}`,
			want: upstream.Error{
				Param:   "logit_bias",
				Message: "gemini does not support parameters: logit_bias, verbosity; set drop_params: true to drop them",
			},
		},
		"a model that cannot think": {
			target:  upstream.Target{Model: "gemini-2.0-flash"},
			request: `{` + hi + `,"reasoning_effort":"low"}`,
			want: upstream.Error{
				Param:   "reasoning_effort",
				Message: "gemini does not support parameters: reasoning_effort; set drop_params: true to drop them",
			},
		},
		"a tool result without its call": {
			request: `{"messages":[{"role":"tool","tool_call_id":"c9","content":"x"}]}`,
			want:    upstream.Error{Param: "messages", Message: `messages[0]: tool_call_id "c9" answers no tool call before it`},
		},
		"arguments that are no object": {
			request: `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: "messages[0]: tool_calls[0]: the arguments of a function call must be a JSON object",
			},
		},
		"a part of a kind nobody knows": {
			request: `{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: `messages[0]: content[0]: gemini takes text, images, audio and files, not "hologram" parts`,
			},
		},
		"an image path of the client's machine": {
			request: `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///x.png"}}]}]}`,
			want:    upstream.Error{Param: "messages", Message: `messages[0]: content[0]: must be a data:, https: or gs: URL, not "file"`},
		},
		"a tool of another provider": {
			request: `{` + hi + `,"tools":[{"type":"bash_20250124","name":"bash"}]}`,
			want: upstream.Error{
				Param:   "tools",
				Message: `tools[0]: gemini has no tool of type "bash_20250124"; set drop_params: true to drop it`,
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := suite.Bind(t, test.target).Request(translatetest.Request(t, chat.Completions, test.request))
			test.want.Status, test.want.Type = 400, "invalid_request_error"
			if diff := cmp.Diff(test.want, *translatetest.Refusal(t, err)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestEmbeddings(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{Model: "gemini-embedding-001"})
	call, err := tr.Request(translatetest.Request(t, chat.Embeddings,
		`{"input":["a\n","b"],"dimensions":2,"task_type":"CLUSTERING","encoding_format":"base64","user":"u"}`))
	if err != nil {
		t.Fatal(err)
	}
	one := func(text string) string {
		return `{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"` + text +
			`"}]},"outputDimensionality":2,"taskType":"CLUSTERING"}`
	}
	if diff := cmp.Diff(`{"requests":[`+one(`a\n`)+","+one("b")+`]}`, string(call.Body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if want := "/v1beta/models/gemini-embedding-001:batchEmbedContents"; call.Path != want {
		t.Errorf("path %q, want %q", call.Path, want)
	}
	if _, err := tr.Request(translatetest.Request(t, chat.Embeddings, `{"input":[1,2]}`)); translatetest.Refusal(t, err).Param != "input" {
		t.Errorf("token array: %v", err)
	}
}

func TestRequestLegacyCompletion(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{})
	call, err := tr.Request(translatetest.Request(t, chat.TextCompletions, `{"prompt":"Once","max_tokens":4}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"contents":[{"role":"user","parts":[{"text":"Once"}]}],"generationConfig":{"maxOutputTokens":4}}`
	if diff := cmp.Diff(want, string(call.Body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if _, err := tr.Request(translatetest.Request(t, chat.TextCompletions, `{"prompt":"Once","logprobs":3}`)); translatetest.Refusal(t,
		err).Param != "logprobs" {
		t.Errorf("legacy logprobs: %v", err)
	}
}
