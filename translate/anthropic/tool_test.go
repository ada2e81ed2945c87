package anthropic_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestTools(t *testing.T) {
	const f = `{"name":"f","input_schema":{"type":"object","properties":{}}}`
	tests := map[string]struct {
		model, params string
		want          string // tools and tool_choice
	}{
		"a choice without tools is dropped": {params: `"tool_choice":"required","parallel_tool_calls":false`},
		"required": {
			params: function + `,"tool_choice":"required","parallel_tool_calls":true`,
			want:   `"tools":[` + f + `],"tool_choice":{"type":"any"}`,
		},
		"one call at a time": {
			params: function + `,"tool_choice":"required","parallel_tool_calls":false`,
			want:   `"tools":[` + f + `],"tool_choice":{"type":"any","disable_parallel_tool_use":true}`,
		},
		"no call at a time": {
			params: function + `,"tool_choice":"none","parallel_tool_calls":false`,
			want:   `"tools":[` + f + `],"tool_choice":{"type":"none"}`,
		},
		"legacy functions": {
			params: `"functions":[{"name":"f"}],"function_call":{"name":"f"}`,
			want:   `"tools":[` + f + `],"tool_choice":{"type":"tool","name":"f"}`,
		},
		"an empty schema is an object's": {
			params: `"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`,
			want:   `"tools":[` + f + `]`,
		},
		"what names a schema is left out, a property of that name stays": {
			params: `"tools":[{"type":"function","function":{"name":"f","parameters":{"$schema":"s","$id":"i","title":"T","type":"object",` +
				`"properties":{"title":{"type":"string","title":"U"}}}}}]`,
			want: `"tools":[{"name":"f","input_schema":{"type":"object","properties":{"title":{"type":"string","title":"U"}}}}]`,
		},
		"a schema without a type is an object's": {
			params: `"tools":[{"type":"function","function":{"name":"f","parameters":{"description":"d","properties":{"type":{"type":"string"}}}}}]`,
			want:   `"tools":[{"name":"f","input_schema":{"type":"object","description":"d","properties":{"type":{"type":"string"}}}}]`,
		},
		"names that Anthropic refuses are rewritten, each to its own, and get out of the way of those it takes": {
			params: `"tools":[{"type":"function","function":{"name":"a.b"}},{"type":"function","function":{"name":"a_b"}},` +
				`{"type":"function","function":{"name":"größe"}}],"tool_choice":{"type":"function","function":{"name":"a.b"}}`,
			want: `"tools":[{"name":"a_b_2","input_schema":{"type":"object","properties":{}}},{"name":"a_b","input_schema":{"type":"object",
			"properties":{}}},{"name":"gr__e","input_schema":{"type":"object","properties":{}}}],
				"tool_choice":{"type":"tool","name":"a_b_2"}`,
		},
		"a union at the top of a schema, which Anthropic refuses, is left out, one further down stays": {
			params: `"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},
			{"type":"null"}]}},"oneOf":[{"required":["a"]}]}}},
				{"type":"function","function":{"name":"g","parameters":{"anyOf":[{"type":"object"},{"type":"object"}]}}}]`,
			want: `"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]}}}},` +
				`{"name":"g","input_schema":{"type":"object","properties":{}}}]`,
		},
		"strict where Anthropic can enforce it": {
			params: `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object",` +
				`"properties":{"a":{"type":"string"}},"additionalProperties":false}}}]`,
			want: `"tools":[{"name":"f","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"string"}},` +
				`"additionalProperties":false}}]`,
		},
		"not strict where it cannot": {
			params: `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object",` +
				`"properties":{"a":{"type":"string","minLength":1}},"additionalProperties":false}}}]`,
			want: `"tools":[{"name":"f","input_schema":{"type":"object","properties":{"a":{"type":"string","minLength":1}},` +
				`"additionalProperties":false}}]`,
		},
		"not strict where the model is not": {
			model: "claude-sonnet-4",
			params: `"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{},` +
				`"additionalProperties":false}}}]`,
			want: `"tools":[{"name":"f","input_schema":{"type":"object","properties":{},"additionalProperties":false}}]`,
		},
		"Anthropic's own tools pass": {
			params: `"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3},{"name":"n","input_schema":{"type":"object"}}]`,
			want:   `"tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3},{"name":"n","input_schema":{"type":"object"}}]`,
		},
		"Anthropic's own tools in LiteLLM's form": {
			params: `"tools":[{"type":"computer_20250124","function":{"name":"computer","parameters":{"display_width_px":10,` +
				`"display_height_px":20}},"cache_control":{"type":"ephemeral"}}]`,
			want: `"tools":[{"type":"computer_20250124","name":"computer","display_width_px":10,"display_height_px":20,` +
				`"cache_control":{"type":"ephemeral"}}]`,
		},
		"web search": {
			params: `"web_search_options":{"search_context_size":"low","user_location":{"type":"approximate","approximate":{"city":"Rome",` +
				`"country":"IT"}}}`,
			want: `"tools":[{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","city":"Rome",` +
				`"country":"IT"},"max_uses":1}]`,
		},
		"web search as a tool": {
			params: `"tools":[{"type":"web_search_preview","user_location":{"type":"approximate","timezone":"CET"}}]`,
			want:   `"tools":[{"type":"web_search_20250305","name":"web_search","user_location":{"type":"approximate","timezone":"CET"}}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{Model: test.model}, `{`+hi+`,`+test.params+`}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte("{"+test.want+"}")), members(t, got.Body, "tools", "tool_choice")); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
		})
	}
}

func TestToolNamesStayWithinTheirLength(t *testing.T) {
	long := strings.Repeat("x", 130)
	got := call(t, upstream.Target{}, fmt.Sprintf(`{`+hi+
		`,"tools":[{"type":"function","function":{"name":%q}},{"type":"function","function":{"name":%q}}]}`, long+"a", long+"b"))
	for _, want := range []string{`{"name":"` + long[:128] + `",`, `{"name":"` + long[:126] + `_2",`} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("no %s in %s", want, got.Body)
		}
	}
}

func TestAnswerSchema(t *testing.T) {
	tests := map[string]struct{ schema, want string }{
		"objects are closed, at every depth": {
			`{"type":"object","properties":{"a":{"type":["object","null"],"additionalProperties":true},"b":{"items":{"properties":{}}}},` +
				`"$defs":{"x":{"type":"object"}}}`,
			`{"type":"object","properties":{"a":{"type":["object","null"],"additionalProperties":false},"b":{"items":{"properties":{},
			"additionalProperties":false}}},
				"$defs":{"x":{"type":"object","additionalProperties":false}},"additionalProperties":false}`,
		},
		"constraints are told in the description": {
			`{"type":"array","description":"Some \"a\".","minItems":2,"items":{"type":"string","pattern":"^a$","format":"regex"}}`,
			`{"type":"array","items":{"type":"string","description":"(pattern: \"^a$\"; format: \"regex\")"},` +
				`"description":"Some \"a\".\n\n(minItems: 2)"}`,
		},
		"one of is any of": {
			`{"oneOf":[{"type":"string","format":"date"},true],"allOf":[{"type":"integer","maximum":3}]}`,
			`{"anyOf":[{"type":"string","format":"date"},true],"allOf":[{"type":"integer","description":"(maximum: 3)"}]}`,
		},
		"a property may be called like a keyword": {
			`{"type":"object","properties":{"pattern":{"type":"string"},"not":{"type":"string"}},"required":["not"],` +
				`"additionalProperties":{"type":"string"}}`,
			`{"type":"object","properties":{"pattern":{"type":"string"},"not":{"type":"string"}},"required":["not"],` +
				`"description":"(additionalProperties: {\"type\":\"string\"})","additionalProperties":false}`,
		},
		"what is an example, not a schema, stays": {
			`{"type":"object","properties":{"a":{"enum":[{"type":"object","minimum":1}],"const":{"oneOf":[]}}},"default":{"not":1},` +
				`"additionalProperties":false}`,
			`{"type":"object","properties":{"a":{"enum":[{"type":"object","minimum":1}],"const":{"oneOf":[]}}},"default":{"not":1},` +
				`"additionalProperties":false}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{},
				`{`+hi+`,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":`+test.schema+`}}}`)
			want := `{"output_config":{"format":{"type":"json_schema","schema":` + test.want + `}}}`
			if diff := cmp.Diff(translatetest.Canonical(t, []byte(want)), members(t, got.Body, "output_config")); diff != "" {
				t.Errorf("output_config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswerSchemaForAModelThatTakesNone(t *testing.T) {
	const tool = `{"name":"json_tool_call","description":"Respond with the answer, in the form of the input schema.",` +
		`"input_schema":{"type":"object","properties":{"a":{"minimum":1}}}}`
	const f = `{"name":"f","input_schema":{"type":"object","properties":{}}}`
	tests := map[string]struct{ params, want string }{
		"its tool is forced, and so needs no words": {
			``,
			`"tools":[{"name":"json_tool_call","input_schema":{"type":"object","properties":{"a":{"minimum":1}}}}],` +
				`"tool_choice":{"type":"tool","name":"json_tool_call"}`,
		},
		"or one of the client's": {`,` + function, `"tools":[` + f + `,` + tool + `],"tool_choice":{"type":"any"}`},
		"but not one that must not be": {
			`,"tool_choice":"none",` + function, `"tools":[` + f + `,` + tool + `],"tool_choice":{"type":"tool","name":"json_tool_call"}`,
		},
		"the client's choice holds": {
			`,"tool_choice":{"function":{"name":"f"}},` + function, `"tools":[` + f + `,` + tool + `],"tool_choice":{"type":"tool","name":"f"}`,
		},
		"who thinks cannot be forced": {
			`,"reasoning_effort":"low"`, `"tools":[` + tool + `],"tool_choice":{"type":"auto"},"thinking":{"type":"enabled","budget_tokens":1024}`,
		},
		"a tool of that name gets another": {
			`,"tools":[{"type":"function","function":{"name":"json_tool_call"}}]`,
			`"tools":[{"name":"json_tool_call_2","input_schema":{"type":"object","properties":{}}},` + tool + `],"tool_choice":{"type":"any"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := call(t, upstream.Target{Model: "claude-sonnet-4-20250514"},
				`{`+hi+
					`,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"minimum":1}}}}}`+
					test.params+`}`)
			if diff := cmp.Diff(translatetest.Canonical(t, []byte("{"+test.want+"}")),
				members(t, got.Body, "tools", "tool_choice", "thinking", "output_config")); diff != "" {
				t.Errorf("members (-want +got):\n%s", diff)
			}
		})
	}
}
