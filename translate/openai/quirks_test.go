package openai_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/openai"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// target is a deployment of a family member.
func target(provider, model string) *upstream.Target {
	t := &upstream.Target{Provider: provider, Model: model, BaseURL: "http://127.0.0.1:1/v1"}
	for _, s := range openai.Family() {
		if s.Name == provider && s.Base != "" {
			t.BaseURL = s.Base
		}
	}
	return t
}

// sent returns the body that a deployment gets for a client's body.
func sent(t *testing.T, target *upstream.Target, body string) (string, error) {
	t.Helper()
	tr, err := openai.New(target)
	if err != nil {
		t.Fatal(err)
	}
	req, err := chat.Parse(chat.Completions, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	call, err := tr.Request(req)
	if err != nil {
		return "", err
	}
	if !jsontext.Value(call.Body).IsValid() {
		t.Fatalf("the body is no JSON: %s", call.Body)
	}
	return string(call.Body), nil
}

func TestAServerGetsTheRequestInItsOwnWords(t *testing.T) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	tests := []struct {
		name, provider, model string
		body, want            string
	}{
		{
			"a server without quirks gets all but the model as it came", "custom_openai", "m",
			`{"model":"a", ` + hi + `, "temperature":1.50, "n":1, "max_completion_tokens":5, "odd": {"x":1e2}, "user":"u"}`,
			`{"model":"m", ` + hi + `, "temperature":1.50, "n":1, "max_completion_tokens":5, "odd": {"x":1e2}, "user":"u"}`,
		}, {
			"max_completion_tokens becomes max_tokens where only that is known", "cerebras", "m",
			`{"model":"a",` + hi + `,"max_completion_tokens":5.0,"top_k":1e1}`,
			`{"model":"m",` + hi + `,"max_tokens":5.0,"top_k":1e1}`,
		}, {
			"max_completion_tokens wins over max_tokens", "xai", "m",
			`{"model":"a","max_tokens":7,"max_completion_tokens":5,` + hi + `}`,
			`{"model":"m","max_tokens":5,` + hi + `}`,
		}, {
			"max_tokens stays max_tokens, whatever the model is called", "deepinfra", "org/o3",
			`{"model":"a",` + hi + `,"max_tokens":5}`,
			`{"model":"org/o3",` + hi + `,"max_tokens":5}`,
		}, {
			"a null max_completion_tokens is left out", "deepseek", "m",
			`{"model":"a",` + hi + `,"max_completion_tokens":null,"max_tokens":3}`,
			`{"model":"m",` + hi + `,"max_tokens":3}`,
		}, {
			"Mistral calls the seed random_seed", "mistral", "m",
			`{"model":"a",` + hi + `,"seed":42,"safe_prompt":true}`,
			`{"model":"m",` + hi + `,"random_seed":42,"safe_prompt":true}`,
		}, {
			"Mistral gets no stream_options", "mistral", "m",
			`{"model":"a",` + hi + `,"stream":true,"stream_options":{"include_usage":true}}`,
			`{"model":"m",` + hi + `,"stream":true}`,
		}, {
			"other streams are asked for usage", "groq", "m",
			`{"model":"a",` + hi + `,"stream":true}`,
			`{"model":"m",` + hi + `,"stream":true,"stream_options":{"include_usage":true}}`,
		}, {
			"Mistral's word for a required tool call is any", "mistral", "m",
			`{"model":"a",` + hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}`,
			`{"model":"m",` + hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"any"}`,
		}, {
			"Mistral cannot be told which function to call", "mistral", "m",
			`{"model":"a",` + hi +
				`,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
			`{"model":"m",` + hi + `,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"any"}`,
		}, {
			"Mistral's schemas lose what it refuses, and a property's name is none of that", "mistral", "m",
			`{"model":"a",` + hi + `,"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"$schema":"s","$id":"i",` +
				`"type":"object","additionalProperties":false,` +
				`"properties":{"strict":{"type":"object","additionalProperties":false},` +
				`"m":{"type":"object","additionalProperties":{"type":"number"}},"l":{"items":{"anyOf":[{"strict":1,"minimum":1.50}]}}}}}}]}`,
			`{"model":"m",` + hi + `,"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object",` +
				`"properties":{"strict":{"type":"object"},"m":{"type":"object","additionalProperties":{"type":"number"}},` +
				`"l":{"items":{"anyOf":[{"minimum":1.50}]}}}}}}]}`,
		}, {
			"Mistral gets short tool-call ids, the same for a call and its answer", "mistral", "m",
			`{"model":"a","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_abcdefghijkl","type":"function",` +
				`"function":{"name":"f","arguments":"{}"}}]},` +
				`{"role":"tool","tool_call_id":"call_abcdefghijkl","name":"f","content":"1"}]}`,
			`{"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":"xL7KBiVI9","type":"function","function":{"name":"f",` +
				`"arguments":"{}"}}]},` +
				`{"role":"tool","tool_call_id":"xL7KBiVI9","name":"f","content":"1"}]}`,
		}, {
			"Mistral's own ids stay", "mistral", "m",
			`{"model":"a","messages":[{"role":"tool","tool_call_id":"abcDEF123","content":"1"}]}`,
			`{"model":"m","messages":[{"role":"tool","tool_call_id":"abcDEF123","content":"1"}]}`,
		}, {
			"Mistral gets no names, nulls, reasoning or empty turns", "mistral", "m",
			`{"model":"a","messages":[{"role":"user","name":"Ann","content":"hi"},{"role":"assistant","content":""},` +
				`{"role":"assistant","content":"ho","refusal":null,"reasoning_content":"hm","prefix":true}]}`,
			`{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho","prefix":true}]}`,
		}, {
			"Groq gets no names, nulls or reasoning", "groq", "m",
			`{"model":"a","messages":[{"role":"user","name":"Ann","content":"hi"},{"role":"assistant","content":"ho","function_call":null,` +
				`"reasoning_content":"hm"}]}`,
			`{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]}`,
		}, {
			"text parts become one string where lists are refused", "deepseek", "m",
			`{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"a\n"},{"type":"text","text":"b\""}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":"a\nb\""}]}`,
		}, {
			"content with an image stays a list", "dashscope", "m",
			`{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}]}`,
		}, {
			"DeepSeek thinks when an effort is asked for", "deepseek", "m",
			`{"model":"a",` + hi + `,"reasoning_effort":"low"}`,
			`{"model":"m",` + hi + `,"reasoning_effort":"low","thinking":{"type":"enabled"}}`,
		}, {
			"DeepSeek does not think when the effort is none", "deepseek", "m",
			`{"model":"a",` + hi + `,"reasoning_effort":"none"}`,
			`{"model":"m",` + hi + `,"thinking":{"type":"disabled"}}`,
		}, {
			"DeepSeek's own switch is left alone", "deepseek", "m",
			`{"model":"a",` + hi + `,"reasoning_effort":"high","thinking":{"type":"disabled"}}`,
			`{"model":"m",` + hi + `,"reasoning_effort":"high","thinking":{"type":"disabled"}}`,
		}, {
			"DeepSeek gets its reasoning back", "deepseek", "m",
			`{"model":"a","messages":[{"role":"assistant","content":"ho","reasoning_content":"hm"}]}`,
			`{"model":"m","messages":[{"role":"assistant","content":"ho","reasoning_content":"hm"}]}`,
		}, {
			"DeepSeek gets a space for reasoning that the client did not keep", "deepseek", "m",
			`{"model":"a","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"ho"}]},` +
				`{"role":"assistant","content":"ho","reasoning_content":"hm"}],"thinking":{"type": "enabled"}}`,
			`{"model":"m","messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"ho","reasoning_content":" "},` +
				`{"role":"assistant","content":"ho","reasoning_content":"hm"}],"thinking":{"type": "enabled"}}`,
		}, {
			"xAI gets tools without strict and messages without names", "xai", "m",
			`{"model":"a","messages":[{"role":"user","name":"Ann","content":"hi"}],"tools":[{"type":"function","function":{"name":"f",` +
				`"strict":true,"parameters":{"additionalProperties":false}}}]}`,
			`{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f",` +
				`"parameters":{"additionalProperties":false}}}]}`,
		}, {
			"OpenRouter is asked for its own accounting", "openrouter", "org/m",
			`{"model":"a",` + hi + `,"transforms":[],"provider":{"sort":"price"}}`,
			`{"model":"org/m",` + hi + `,"transforms":[],"provider":{"sort":"price"},"usage":{"include":true}}`,
		}, {
			"OpenRouter's highest effort is xhigh, and the client's usage wins", "openrouter", "org/m",
			`{"model":"a",` + hi + `,"reasoning_effort":"max","usage":{"include":false}}`,
			`{"model":"org/m",` + hi + `,"reasoning_effort":"xhigh","usage":{"include":false}}`,
		}, {
			"OpenRouter's Claude gets cache_control in the last content part", "openrouter", "anthropic/claude-x",
			`{"model":"a","messages":[{"role":"user","cache_control":{"type":"ephemeral"},"content":[{"type":"text","text":"a"},` +
				`{"type":"text","text":"a"}]},` +
				`{"role":"user","cache_control":{"type":"ephemeral"},"content":"b"}],"usage":1}`,
			`{"model":"anthropic/claude-x","messages":[{"role":"user","content":[{"type":"text","text":"a"},` +
				`{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]},` +
				`{"role":"user","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}],"usage":1}`,
		}, {
			"cache_control is removed where nobody knows it", "together_ai", "m",
			`{"model":"a","messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}],` +
				`"tools":[{"type":"function","function":{"name":"f"},"cache_control":{}}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],` +
				`"tools":[{"type":"function","function":{"name":"f"}}]}`,
		}, {
			"another provider's thinking is not sent on", "openai", "gpt-4o",
			`{"model":"a","messages":[{"role":"assistant","content":"ho","reasoning_content":"hm","thinking_blocks":[{"type":"thinking"}],` +
				`"tool_calls":[{"id":"1","function":{"name":"f"},"provider_specific_fields":{"thought_signature":"s"}}]}]}`,
			`{"model":"gpt-4o","messages":[{"role":"assistant","content":"ho",` +
				`"tool_calls":[{"id":"1","function":{"name":"f"}}]}]}`,
		}, {
			"Fireworks names a bare model in full", "fireworks_ai", "qwen3",
			`{"model":"a",` + hi + `,"max_completion_tokens":1}`,
			`{"model":"accounts/fireworks/models/qwen3",` + hi + `,"max_tokens":1}`,
		}, {
			"a model of somebody's Fireworks account stays", "fireworks_ai", "accounts/me/models/m",
			`{"model":"a",` + hi + `}`,
			`{"model":"accounts/me/models/m",` + hi + `}`,
		}, {
			"developer messages are system messages", "moonshot", "m",
			`{"model":"a","messages":[{"role":"developer","content":"be kind"}]}`,
			`{"model":"m","messages":[{"role":"system","content":"be kind"}]}`,
		}, {
			"bookkeeping and idle parameters vanish without a word", "perplexity", "sonar",
			`{"model":"a",` + hi +
				`,"user":"u","metadata":{},"n":1,"logprobs":false,"tools":[],"tool_choice":"none","stop":null,"search_mode":"web"}`,
			`{"model":"sonar",` + hi + `,"search_mode":"web"}`,
		}, {
			"OpenAI's reasoning models take the temperature they have", "openai", "gpt-5",
			`{"model":"a",` + hi + `,"temperature":1.0}`,
			`{"model":"gpt-5",` + hi + `,"temperature":1.0}`,
		}, {
			"GPT-5 has a temperature when it does not reason", "openai", "gpt-5.1",
			`{"model":"a",` + hi + `,"temperature":0.2,"reasoning_effort":"none"}`,
			`{"model":"gpt-5.1",` + hi + `,"temperature":0.2,"reasoning_effort":"none"}`,
		}, {
			"GPT-5.1 samples as it is told when nobody asks it to reason", "openai", "gpt-5.1-2025-11-13",
			`{"model":"a",` + hi + `,"temperature":0.2,"top_p":0.5,"logprobs":true,"top_logprobs":2,"reasoning_effort":null}`,
			`{"model":"gpt-5.1-2025-11-13",` + hi + `,"temperature":0.2,"top_p":0.5,"logprobs":true,"top_logprobs":2,"reasoning_effort":null}`,
		}, {
			"a tool choice goes with the tools, which null is none of", "openai", "gpt-4o",
			`{"model":"a",` + hi + `,"tools":null,"tool_choice":"auto"}`,
			`{"model":"gpt-4o",` + hi + `,"tools":null}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sent(t, target(tt.provider, tt.model), tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAServerLacksIsRefusedOrDropped(t *testing.T) {
	const body = `{"model":"a","messages":[],"tools":[{"type":"function","function":{"name":"f"}}],` +
		`"n":2,"tool_choice":"auto","temperature":0.5}`
	deployment := func(change func(*upstream.Target)) *upstream.Target {
		t := target("perplexity", "sonar")
		change(t)
		return t
	}
	tests := []struct {
		name    string
		target  *upstream.Target
		body    string
		want    string
		refused []string // names that the error must hold
	}{
		{
			"a request is refused with the names of all it cannot have",
			target("perplexity", "sonar"), body, "", []string{"perplexity", "tools", "tool_choice", "n"},
		}, {
			"drop_params drops them",
			deployment(func(t *upstream.Target) { t.DropParams = true }), body,
			`{"model":"sonar","messages":[],"temperature":0.5}`, nil,
		}, {
			"additional_drop_params drops what the server has, defaults too",
			deployment(func(t *upstream.Target) {
				t.DropAlso = []string{"temperature", "top_p", "n", "tools", "tool_choice"}
				t.Defaults = []upstream.Param{{Name: "top_p", Value: []byte("0.1")}, {Name: "presence_penalty", Value: []byte("1")}}
			}), body,
			`{"model":"sonar","messages":[],"presence_penalty":1}`, nil,
		}, {
			"allowed_openai_params sends what the server is said to lack",
			deployment(func(t *upstream.Target) { t.AllowAlso = []string{"tools", "tool_choice", "n"} }), body,
			strings.Replace(body, `"a"`, `"sonar"`, 1), nil,
		}, {
			"a default that the server lacks is refused too",
			deployment(func(t *upstream.Target) { t.Defaults = []upstream.Param{{Name: "stop", Value: []byte(`"x"`)}} }),
			`{"model":"a","messages":[]}`, "", []string{"stop"},
		}, {
			"defaults take the server's name and never hide the client's value",
			func() *upstream.Target {
				t := target("mistral", "m")
				t.Defaults = []upstream.Param{{Name: "seed", Value: []byte("1")}, {Name: "max_completion_tokens", Value: []byte("9")}}
				return t
			}(), `{"model":"a","messages":[],"random_seed":2}`,
			`{"model":"m","messages":[],"random_seed":2,"max_tokens":9}`, nil,
		}, {
			"some models lack more than others", target("xai", "grok-4-fast"),
			`{"model":"a","messages":[],"stop":"x","frequency_penalty":1}`, "", []string{"stop", "frequency_penalty"},
		}, {
			"other models of the server have it", target("xai", "grok-2"),
			`{"model":"a","messages":[],"stop":"x"}`, `{"model":"grok-2","messages":[],"stop":"x"}`, nil,
		}, {
			"OpenAI's reasoning models have no temperature", target("openai", "gpt-5"),
			`{"model":"a","messages":[],"temperature":0.2}`, "", []string{"openai", "temperature"},
		}, {
			"GPT-5 has no way to sample while it reasons", target("openai", "gpt-5.1"),
			`{"model":"a","messages":[],"reasoning_effort":"low","temperature":0.2,"top_p":0.5,"logprobs":true,"logit_bias":{"1":1}}`, "",
			[]string{"temperature", "top_p", "logprobs", "logit_bias"},
		}, {
			"the first GPT-5 reasons unasked", target("openai", "gpt-5"),
			`{"model":"a","messages":[],"top_p":0.5}`, "", []string{"top_p"},
		}, {
			"GPT-5's Codex reasons unasked too", target("openai", "gpt-5.1-codex"),
			`{"model":"a","messages":[],"top_p":0.5}`, "", []string{"top_p"},
		}, {
			"and so does what ChatGPT runs on", target("openai", "gpt-5.1-chat-latest"),
			`{"model":"a","messages":[],"temperature":0.5}`, "", []string{"temperature"},
		}, {
			"the o-series has no temperature whatever the effort", target("openai", "o4-mini"),
			`{"model":"a","messages":[],"temperature":0.2,"reasoning_effort":"none"}`, "", []string{"temperature"},
		}, {
			"drop_params drops what a reasoning model lacks, even where it asks for nothing",
			func() *upstream.Target { t := target("openai", "o3"); t.DropParams = true; return t }(),
			`{"model":"a","messages":[],"temperature":1,"top_p":1,"presence_penalty":0,"logprobs":false}`,
			`{"model":"o3","messages":[],"temperature":1}`, nil,
		}, {
			"drop_params drops what is meant for models that reason",
			func() *upstream.Target { t := target("openai", "gpt-4.1"); t.DropParams = true; return t }(),
			`{"model":"a","messages":[],"thinking":{"type":"enabled"},"reasoning_effort":"low","verbosity":"low","temperature":0.5}`,
			`{"model":"gpt-4.1","messages":[],"temperature":0.5}`, nil,
		}, {
			"a compatible server's model of that name is its own matter",
			&upstream.Target{Provider: "openai", Model: "o3", BaseURL: "http://localhost/v1"},
			`{"model":"a","messages":[],"temperature":0.2}`, `{"model":"o3","messages":[],"temperature":0.2}`, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := sent(t, tt.target, tt.body)
			if tt.refused == nil {
				if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
					t.Errorf("error %v, body (-want +got):\n%s", err, diff)
				}
				return
			}
			var refusal *upstream.Error
			if !errors.As(err, &refusal) || refusal.Status != 400 {
				t.Fatalf("got %v, want a 400", err)
			}
			for _, name := range tt.refused {
				if !strings.Contains(refusal.Message, name) {
					t.Errorf("the refusal %q does not name %s", refusal.Message, name)
				}
			}
		})
	}
}

func TestTheFamilysTableIsSound(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range openai.Family() {
		if s.Name == "" || seen[s.Name] {
			t.Errorf("the name %q is empty or stands twice", s.Name)
		}
		seen[s.Name] = true
		if s.Base == "" && !s.Keyless || strings.HasSuffix(s.Base, "/") {
			t.Errorf("%s: base %q", s.Name, s.Base)
		}
		if !s.Keyless && len(s.KeyVars) == 0 {
			t.Errorf("%s has no variable for its key", s.Name)
		}
		if _, err := openai.New(target(s.Name, "m")); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

func translator(t testing.TB, provider string) *openai.Translator {
	t.Helper()
	tr, err := openai.New(target(provider, "m"))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func request(t testing.TB, body string) *chat.Request {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	return req
}
