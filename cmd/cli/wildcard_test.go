package cli

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// Names with stars kept a processor busy for ever, and the start itself told people
// to send one.
func TestWildcardsServeNamesFallBackAndAreLimited(t *testing.T) {
	up, back := newProvider(t, openAI), newProvider(t, openAI)
	down := newProvider(t, failWith(500))
	s := startStack(t, "model_list:\n"+
		"- model_name: up/*\n  litellm_params: {model: openai/*, api_key: k, api_base: \""+up.base()+"\"}\n"+
		"- model_name: down/*\n  litellm_params: {model: openai/*, api_key: k, api_base: \""+down.base()+"\"}\n"+
		"- model_name: back/*\n  litellm_params: {model: openai/b-*, api_key: k, api_base: \""+back.base()+"\"}\n"+
		"router_settings: {num_retries: 0, fallbacks: [{'down/*': ['back/*']}], model_group_limits: {'up/*': {rpm: 3}, up/x: {rpm: 1}}}\n")
	if !strings.Contains(s.stdout.String(), `"model": "up/gpt-4o-mini"`) {
		t.Errorf("the start says:\n%s", s.stdout)
	}
	ask := func(model, more string) *answer {
		return s.post("/v1/chat/completions", `{"model":"`+model+`","messages":[{"role":"user","content":"hi"}]`+more+`}`)
	}
	last := func(p *provider) string {
		calls := p.calls()
		if len(calls) == 0 {
			return ""
		}
		return calls[len(calls)-1].body
	}
	if a := ask("up/*", ""); a.status != 200 || !strings.Contains(last(up), `"model":"*"`) {
		t.Errorf("a name with a star: %d, the provider got %s", a.status, last(up))
	}
	if a := ask("down/a", `,"fallbacks":["up/**"]`); a.status != 200 || !strings.Contains(last(up), `"model":"**"`) {
		t.Errorf("a fallback with stars: %d, the provider got %s", a.status, last(up))
	}
	if a := ask("down/a", ""); a.status != 200 || !strings.Contains(last(back), `"model":"b-a"`) {
		t.Errorf("the fallback of a wildcard: %d, the provider got %s", a.status, last(back))
	}
	if a := ask("up/x", ""); a.status != 200 {
		t.Errorf("a name with limits of its own: %d", a.status)
	}
	expectRefusal(t, ask("up/x", ""), "rate_limit_exceeded")
	if a := ask("up/y", ""); a.status != 200 {
		t.Errorf("the third of the wildcard's three: %d", a.status)
	}
	expectRefusal(t, ask("up/y", ""), "rate_limit_exceeded")
}

func TestTheExampleAfterTheStartIsANameThatIsServed(t *testing.T) {
	for name, tc := range map[string]struct{ models, want string }{
		"a name without a star":             {"[up/*, openai/*], [m, ollama/m]", "m"},
		"a well-known model of a wildcard":  {"[up/*, anthropic/*]", "up/claude-haiku-4-5"},
		"of a wildcard that adds something": {"['*-x', openai/*]", "gpt-4o-mini-x"},
		"of a wildcard of some models":      {"['4*', 'openai/gpt-4*']", "4o-mini"},
		"of none that is well known":        {"['a/*', 'openai/o3*']", ""},
		"of a provider whose models differ": {"['a/*', 'ollama/*']", ""},
		"every model under one name":        {"[one, openai/gpt-4o]", "one"},
	} {
		text := "model_list:\n"
		for pair := range strings.SplitSeq(tc.models, "], ") {
			group, model, _ := strings.Cut(strings.Trim(pair, "[]"), ", ")
			text += "- {model_name: " + quoted(group) + ", litellm_params: {model: " + quoted(model) + ", api_key: k}}\n"
		}
		c, _, err := config.Parse("c.yaml", []byte(text), config.Options{})
		if err != nil {
			t.Fatal(err)
		}
		router, err := routing.New(c, routing.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := exampleModel(router); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func quoted(s string) string { return "'" + strings.Trim(s, "'") + "'" }
