package anthropic_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func parseObject(t testing.TB, body []byte) (list []upstream.Param) {
	t.Helper()
	object, err := jsonedit.Parse(body)
	if err != nil {
		t.Fatalf("%s in %s", err, body)
	}
	for _, m := range object.Members() {
		list = append(list, upstream.Param{Name: m.Name, Value: object.Value(m)})
	}
	return list
}

const function = `"tools":[{"type":"function","function":{"name":"f"}}]`

func TestRequestParameters(t *testing.T) {
	tests := map[string]struct {
		target upstream.Target
		params string
		want   string // members of the body after max_tokens and messages
	}{
		"numbers keep their text and null is absent": {params: `"temperature":0.10,"top_k":5,"seed":null`, want: `"temperature":0.10,"top_k":5`},
		"a deployment's defaults hold where the client says nothing": {
			target: upstream.Target{
				Defaults: []upstream.Param{{Name: "temperature", Value: []byte("0.5")}, {Name: "max_tokens", Value: []byte("9")}},
			},
			params: `"max_completion_tokens":3`,
			want:   `"temperature":0.5`,
		},
		"what nobody misses is dropped": {
			params: `"metadata":{"team":"red"},"store":true,"safety_identifier":"x","prompt_cache_key":"k","stream_options":{},` +
				`"parallel_tool_calls":false,"tool_choice":"auto"`,
		},
		"parameters that ask for nothing are dropped": {
			params: `"n":1,"logprobs":false,"top_logprobs":0,"frequency_penalty":0.0,"presence_penalty":-0,"logit_bias":{},"modalities":["text"]`,
		},
		"Anthropic's own parameters pass": {
			params: `"service_tier":"auto","container":"c1","inference_geo":"eu","cache_control":{"type":"ephemeral"},` +
				`"extra_body":{"top_k":3,"seed":null}`,
			want: `"service_tier":"auto","container":"c1","inference_geo":"eu","cache_control":{"type":"ephemeral"},"top_k":3`,
		},
		"OpenAI's default tier has another name":         {params: `"service_tier":"default"`, want: `"service_tier":"standard_only"`},
		"a user is named":                                {params: `"user":"u-1"`, want: `"metadata":{"user_id":"u-1"}`},
		"a user is named in Anthropic's way":             {params: `"metadata":{"user_id":"u-1","x":1}`, want: `"metadata":{"user_id":"u-1"}`},
		"a mail address is kept back":                    {params: `"user":"ana@example.com"`},
		"a telephone number is kept back":                {params: `"user":"+49 (30) 123-4567"`},
		"stop sequences of white space only are dropped": {params: `"stop":["\n","END"]`, want: `"stop_sequences":["END"]`},
		"a stop of white space only is none":             {params: `"stop":" "`},
		"additional_drop_params drops decoded parameters too": {
			target: upstream.Target{DropAlso: []string{"stop", "logit_bias", "user"}},
			params: `"stop":"x","logit_bias":{"1":1},"user":"u","top_p":0.5`,
			want:   `"top_p":0.5`,
		},
		"allowed_openai_params are passed as they are": {
			target: upstream.Target{AllowAlso: []string{"seed", "system"}},
			params: `"seed":7,"system":"mine"`,
			want:   `"seed":7`,
		},
		"drop_params drops what Anthropic lacks": {
			target: upstream.Target{DropParams: true},
			params: `"seed":1,"n":3,"logprobs":true,"safety_settings":[],"service_tier":"flex","tools":[{"type":"mystery"}]`,
		},
		"the newest models take no sampling but temperature 1": {
			target: upstream.Target{Model: "claude-opus-4-7", DropParams: true},
			params: `"temperature":1.0,"top_p":0.9,"top_k":4`,
			want:   `"temperature":1.0`,
		},
		"json_object has no counterpart": {params: `"response_format":{"type":"json_object"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rest := []byte{'{'}
			for _, m := range parseObject(t, call(t, test.target, `{`+hi+`,`+test.params+`}`).Body) {
				if m.Name != "model" && m.Name != "max_tokens" && m.Name != "messages" {
					rest = jsonedit.AppendMember(rest, m.Name, m.Value)
				}
			}
			if diff := cmp.Diff(translatetest.Canonical(t, []byte("{"+test.want+"}")), translatetest.Canonical(t, append(rest, '}'))); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestThinking(t *testing.T) {
	const toolTurn = `{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f"}}]},{"role":"tool","tool_call_id":"a","content":"1"}`
	tests := map[string]struct {
		model, params string
		drop          bool
		want          string
	}{
		"the least budget": {
			"claude-sonnet-4-5", `"reasoning_effort":"minimal"`, false, `"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":1024}`,
		},
		"high": {
			"claude-3-7-sonnet-20250219", `"reasoning_effort":"high"`, false,
			`"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":4096}`,
		},
		"the most": {
			"claude-opus-4-1", `"reasoning_effort":"max"`, false, `"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":16384}`,
		},
		"the budget stays below the rest": {
			"claude-sonnet-4-5", `"reasoning_effort":"high","max_tokens":2000`, false,
			`"max_tokens":2000,"thinking":{"type":"enabled","budget_tokens":1999}`,
		},
		"no room to think": {"claude-sonnet-4-5", `"reasoning_effort":"low","max_tokens":1024`, false, `"max_tokens":1024`},
		"none":             {"claude-sonnet-4-5", `"reasoning_effort":"none"`, false, `"max_tokens":64000`},
		"a forced call cannot think": {
			"claude-sonnet-4-5", function + `,"reasoning_effort":"low","tool_choice":"required"`, false, `"max_tokens":64000`,
		},
		"results whose thinking is lost": {
			"claude-sonnet-4-5", `"messages":[` + toolTurn + `],"reasoning_effort":"low"`, false, `"max_tokens":64000`,
		},
		"an earlier turn does not count": {
			"claude-sonnet-4-5", `"messages":[` + toolTurn + `,{"role":"user","content":"x"}],"reasoning_effort":"low"`, false,
			`"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":1024}`,
		},
		"the client's own wins": {
			"claude-sonnet-4-5", `"reasoning_effort":"low","thinking":{"type":"enabled","budget_tokens":7}`, false,
			`"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":7}`,
		},
		"max_tokens makes room for the client's own": {
			"claude-opus-4", `"thinking":{"type":"enabled","budget_tokens":32000}`, false,
			`"max_tokens":36096,"thinking":{"type":"enabled","budget_tokens":32000}`,
		},
		"an unknown model's budget leaves room to answer": {
			"MiniMax-M2", `"reasoning_effort":"high"`, false, `"max_tokens":8192,"thinking":{"type":"enabled","budget_tokens":4096}`,
		},
		"an effort": {
			"claude-opus-4-7", `"reasoning_effort":"minimal"`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}`,
		},
		"an effort the model has": {
			"claude-opus-4-7", `"reasoning_effort":"xhigh"`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"xhigh"}`,
		},
		"an effort the model has not": {
			"claude-sonnet-4-6", `"reasoning_effort":"xhigh"`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}`,
		},
		"no effort": {"claude-opus-4-6", `"reasoning_effort":"none"`, false, `"max_tokens":128000`},
		"an effort joins output_config": {
			"claude-opus-4-6", `"reasoning_effort":"low","output_config":{"effort":"max","x":1}`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low","x":1}`,
		},
		"a budget where there are efforts": {
			"claude-opus-4-7", `"thinking":{"type":"enabled","budget_tokens":4096}`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}`,
		},
		"a small one": {
			"claude-sonnet-5", `"thinking":{"type":"enabled","budget_tokens":1024}`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}`,
		},
		"beside the client's own effort": {
			"claude-opus-4-7", `"thinking":{"type":"enabled","budget_tokens":9000},"output_config":{"effort":"max"}`, false,
			`"max_tokens":128000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}`,
		},
		"a budget while both are taken": {
			"claude-opus-4-6", `"thinking":{"type":"enabled","budget_tokens":4096}`, false,
			`"max_tokens":128000,"thinking":{"type":"enabled","budget_tokens":4096}`,
		},
		"drop_params drops what disturbs": {
			"claude-sonnet-4-5", `"reasoning_effort":"low","temperature":0.2,"top_k":4`, true,
			`"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":1024}`,
		},
		"else Anthropic says what it lacks": {
			"claude-sonnet-4-5", `"reasoning_effort":"low","temperature":0.2`, false,
			`"max_tokens":64000,"thinking":{"type":"enabled","budget_tokens":1024},"temperature":0.2`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := `{` + hi + `,` + test.params + `}`
			if len(test.params) > 11 && test.params[:11] == `"messages":` {
				request = `{` + test.params + `}`
			}
			got := call(t, upstream.Target{Model: test.model, DropParams: test.drop}, request)
			want := translatetest.Canonical(t, []byte("{"+test.want+"}"))
			if diff := cmp.Diff(want, members(t, got.Body, "max_tokens", "thinking", "output_config", "temperature", "top_k")); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestLimitsOutputByModel(t *testing.T) {
	for model, want := range map[string]string{
		"claude-3-opus-20240229":     "4096",
		"claude-3-5-sonnet-20241022": "8192",
		"claude-3-5-haiku-latest":    "8192",
		"claude-3-7-sonnet-20250219": "64000",
		"claude-sonnet-4-20250514":   "64000",
		"claude-opus-4-20250514":     "32000",
		"claude-opus-4-1-20250805":   "32000",
		"claude-opus-4.5":            "64000",
		"claude-haiku-4-5@20251001":  "64000",
		"claude-opus-4-7":            "128000",
		"claude-sonnet-4-6":          "128000",
		"claude-sonnet-5":            "128000",
		"claude-2.1":                 "4096",
		"claude-next":                "4096",
		"glm-4.6":                    "4096",
	} {
		got := members(t, call(t, upstream.Target{Model: model}, `{`+hi+`}`).Body, "max_tokens")
		if got != `{"max_tokens":`+want+`}` {
			t.Errorf("%s: %s, want %s", model, got, want)
		}
	}
}

func TestBaseModelTellsWhatAnAliasTakes(t *testing.T) {
	got := call(t, upstream.Target{Model: "prod", BaseModel: "claude-opus-4-7"}, `{`+hi+`}`)
	if diff := cmp.Diff(`{"max_tokens":128000,"model":"prod"}`, members(t, got.Body, "max_tokens", "model")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestRequestRefusals(t *testing.T) {
	tests := map[string]struct {
		target  upstream.Target
		request string
		want    upstream.Error
	}{
		"all parameters Anthropic lacks are named": {
			request: `{` + hi + `,"seed":1,"n":2,"verbosity":"low"}`,
			want: upstream.Error{
				Param:   "seed",
				Message: "anthropic does not support parameters: seed, verbosity, n; set drop_params: true to drop them",
			},
		},
		"sampling where the model has none": {
			target:  upstream.Target{Model: "claude-opus-5"},
			request: `{` + hi + `,"temperature":0.2}`,
			want: upstream.Error{
				Param:   "temperature",
				Message: "anthropic does not support parameters: temperature; set drop_params: true to drop them",
			},
		},
		"a model that cannot think": {
			target:  upstream.Target{Model: "claude-3-5-sonnet-20241022"},
			request: `{` + hi + `,"reasoning_effort":"low"}`,
			want: upstream.Error{
				Param:   "reasoning_effort",
				Message: "anthropic does not support parameters: reasoning_effort; set drop_params: true to drop them",
			},
		},
		"an effort nobody knows": {
			request: `{` + hi + `,"reasoning_effort":"heroic"}`,
			want:    upstream.Error{Param: "reasoning_effort", Message: "'reasoning_effort' must be none, minimal, low, medium, high, xhigh or max"},
		},
		"an output_config that is none": {
			request: `{` + hi + `,"output_config":"high"}`,
			want:    upstream.Error{Param: "output_config", Message: "'output_config' must be an object"},
		},
		"a tool choice nobody knows": {
			request: `{` + hi + `,"tool_choice":"maybe",` + function + `}`,
			want:    upstream.Error{Param: "tool_choice", Message: "'tool_choice' must be auto, none, required or name a function"},
		},
		"a tool of another provider": {
			request: `{` + hi + `,"tools":[{"googleSearch":{}}]}`,
			want:    upstream.Error{Param: "tools", Message: `tools[0]: anthropic has no tool of type ""; set drop_params: true to drop it`},
		},
		"parameters that are no schema": {
			request: `{` + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]}`,
			want:    upstream.Error{Param: "tools", Message: `tools[0]: 'parameters' must be a JSON Schema object`},
		},
		"an unknown role": {
			request: `{"messages":[{"role":"user","content":"a"},{"role":"oracle","content":"b"}]}`,
			want:    upstream.Error{Param: "messages", Message: `messages[1]: unknown role "oracle"`},
		},
		"an image in a system message": {
			request: `{"messages":[{"role":"system","content":[{"type":"image_url","image_url":"https://a/b.png"}]}]}`,
			want:    upstream.Error{Param: "messages", Message: `messages[0]: content[0]: a system message takes text parts only, not "image_url"`},
		},
		"an image from the assistant": {
			request: `{"messages":[{"role":"assistant","content":[{"type":"image_url","image_url":"https://a/b.png"}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: `messages[0]: content[0]: an assistant message takes text parts only, not "image_url"`,
			},
		},
		"arguments that are no object": {
			request: `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: "messages[0]: tool_calls[0]: the arguments of a function call must be a JSON object",
			},
		},
		"arguments cut short": {
			request: `{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"a\":"}}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: "messages[0]: tool_calls[0]: the arguments of a function call must be a JSON object",
			},
		},
		"a result of no call": {
			request: `{"messages":[{"role":"tool","content":"x"}]}`,
			want:    upstream.Error{Param: "messages", Message: "messages[0]: a tool message needs the tool_call_id of the call it answers"},
		},
		"speech": {
			request: `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]}]}`,
			want:    upstream.Error{Param: "messages", Message: "messages[0]: content[0]: anthropic takes no audio"},
		},
		"a part of a kind nobody knows": {
			request: `{"messages":[{"role":"user","content":[{"type":"hologram"}]}]}`,
			want: upstream.Error{
				Param:   "messages",
				Message: `messages[0]: content[0]: anthropic takes text, images and files, not "hologram" parts`,
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

func TestRequestLegacyCompletion(t *testing.T) {
	tr := suite.Bind(t, upstream.Target{})
	got, err := tr.Request(translatetest.Request(t, chat.TextCompletions,
		`{"prompt":"Once","max_tokens":4,"echo":false,"best_of":1,"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"model":"claude-sonnet-4-5","max_tokens":4,"messages":[{"role":"user","content":[{"type":"text","text":"Once"}]}],"stream":true}`
	if diff := cmp.Diff(want, string(got.Body)); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if _, err := tr.Request(translatetest.Request(t, chat.TextCompletions, `{"prompt":"Once","suffix":"end"}`)); translatetest.Refusal(t,
		err).Param != "suffix" {
		t.Errorf("suffix: %v", err)
	}
}
