package config_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// sent are the parameters that a deployment with these litellm_params sends, as
// NAME=JSON.
func sent(t *testing.T, params string, vars map[string]string) (string, error) {
	t.Helper()
	text := "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: \"http://h/v1\", " + params + "}\n"
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars)})
	if err != nil {
		return "", err
	}
	var out []string
	for _, p := range c.Deployments[0].Defaults {
		out = append(out, p.Name+"="+string(p.Value))
	}
	return strings.Join(out, " "), nil
}

func TestAVariableIsOfTheTypeThatItsParameterHas(t *testing.T) {
	for name, tc := range map[string]struct{ params, value, want string }{
		"a whole number":                       {"max_tokens: os.environ/V", "17", "max_tokens=17"},
		"a whole number in a float's spelling": {"max_tokens: os.environ/V", "1e3", "max_tokens=1000"},
		"a whole number of Gemini's":           {"maxOutputTokens: os.environ/V", "17", "maxOutputTokens=17"},
		"a number":                             {"temperature: os.environ/V", "0.2", "temperature=0.2"},
		"a number as people write it":          {"temperature: os.environ/V", " .5\n", "temperature=0.5"},
		"true":                                 {"parallel_tool_calls: os.environ/V", "true", "parallel_tool_calls=true"},
		"true as Python writes it":             {"parallel_tool_calls: os.environ/V", "True", "parallel_tool_calls=true"},
		"no":                                   {"store: os.environ/V", "no", "store=false"},
		"one for a boolean": {"stream_options: {include_usage: os.environ/V}", "1",
			`stream_options={"include_usage":true}`},
		"a number inside": {"thinking: {type: enabled, budget_tokens: os.environ/V}", "1024",
			`thinking={"type":"enabled","budget_tokens":1024}`},
		"a number inside extra_body": {"extra_body: {top_k: os.environ/V, x: {y: [os.environ/V]}}", "5",
			`extra_body={"top_k":5,"x":{"y":[5]}}`},
		"a number in Ollama's options":            {"options: {num_ctx: os.environ/V}", "4096", `options={"num_ctx":4096}`},
		"a level where a boolean may stand":       {"think: os.environ/V", "high", `think="high"`},
		"a boolean where a level may stand":       {"think: os.environ/V", "true", "think=true"},
		"a duration":                              {"keep_alive: os.environ/V", "5m", `keep_alive="5m"`},
		"a number where a duration may stand":     {"keep_alive: os.environ/V", "-1", "keep_alive=-1"},
		"logprobs of a chat":                      {"logprobs: os.environ/V", "true", "logprobs=true"},
		"text that reads like a number":           {"user: os.environ/V", "0042", `user="0042"`},
		"text of digits":                          {"user: os.environ/V", "42", `user="42"`},
		"metadata that reads like a number":       {"metadata: {run: os.environ/V, n: os.environ/V}", "7", `metadata={"run":"7","n":"7"}`},
		"a stop that reads like a number":         {"stop: [os.environ/V]", "7", `stop=["7"]`},
		"an unknown name and a number":            {"my_server: os.environ/V", "7.50", "my_server=7.50"},
		"an unknown name and no number of JSON's": {"my_server: os.environ/V", "007", `my_server="007"`},
		"an unknown name and true":                {"my_server: os.environ/V", "true", "my_server=true"},
		"an unknown name and yes":                 {"my_server: os.environ/V", "yes", `my_server="yes"`},
		"an unknown name and null":                {"my_server: os.environ/V", "null", `my_server="null"`},
		"an unknown name that is said to be text": {"my_server: !!str os.environ/V", "7", `my_server="7"`},
		"a number in quotes":                      {`temperature: "0.2"`, "", "temperature=0.2"},
		"a boolean in quotes":                     {`store: "false"`, "", "store=false"},
		"text where another server may want it":   {`max_tokens: auto`, "", `max_tokens="auto"`},
		"an unknown name and a number in quotes":  {`my_server: "7"`, "", `my_server="7"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sent(t, tc.params, map[string]string{"V": tc.value})
			if err != nil || got != tc.want {
				t.Errorf("%s, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestAVariableThatIsNotOfItsParametersTypeIsAnError(t *testing.T) {
	for params, tc := range map[string]struct{ value, want string }{
		"max_tokens: os.environ/V": {"canary",
			"c.yaml:3: model_list[0].litellm_params.max_tokens: want a whole number, got the value of $V"},
		"n: os.environ/V":                          {"1.5", "want a whole number, got the value of $V"},
		"temperature: os.environ/V":                {"NaN", "want a number, got the value of $V"},
		"top_p: os.environ/V":                      {"1e999", "want a number, got the value of $V"},
		"store: os.environ/V":                      {"canary", "want true or false, got the value of $V"},
		"logprobs: os.environ/V":                   {"canary", "want true, false or a number, got the value of $V"},
		"thinking: {budget_tokens: os.environ/V}":  {"canary", "litellm_params.thinking.budget_tokens: want a whole number"},
		"extra_body: {a: [{top_k: os.environ/V}]}": {"canary", "litellm_params.extra_body.a[0].top_k: want a whole number"},
	} {
		_, err := sent(t, params, map[string]string{"V": tc.value})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want …%s…", params, err, tc.want)
		}
	}
}

// FuzzParameterOfAVariable: whatever a variable holds, what is sent is JSON.
func FuzzParameterOfAVariable(f *testing.F) {
	for _, text := range []string{"17", ".5", "1e400", "-0", "0x10", "1_000", "True", "\xff", "\"", "+1", "Infinity"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, name := range []string{"V", "seed", "top_p", "think", "logprobs", "user"} {
			text := "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: \"http://h/v1\", " + name +
				": os.environ/X}\n"
			c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(map[string]string{"X": value})})
			if err != nil {
				continue
			}
			for _, p := range c.Deployments[0].Defaults {
				if !jsontext.Value(p.Value).IsValid() {
					t.Fatalf("%s of %q is %s", name, value, p.Value)
				}
			}
		}
	})
}
