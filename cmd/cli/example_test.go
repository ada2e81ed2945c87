package cli

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

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
