package config_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate"
)

// TestEveryProvidersExampleLoads loads the examples of docs/providers.md as a user
// would, and looks for one of each provider.
func TestEveryProvidersExampleLoads(t *testing.T) {
	text, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string) (string, bool) {
		if regexp.MustCompile(`(KEY|TOKEN)$`).MatchString(name) {
			return "sk-test", true
		}
		return "", false
	}
	var shown []string
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1) {
		c, notes, err := config.Parse("providers.md", block[1], config.Options{Lookup: set, Strict: true})
		if err != nil {
			t.Errorf("%v in:\n%s", err, block[1])
			continue
		}
		for _, n := range notes {
			if n.Severity == config.Warning {
				t.Errorf("a warning: %s in:\n%s", n, block[1])
			}
		}
		for _, d := range c.Deployments {
			shown = append(shown, d.Provider)
		}
	}
	for _, p := range translate.Providers() {
		if !slices.Contains(shown, p.Name) {
			t.Errorf("docs/providers.md has no example of %s", p.Name)
		}
	}
}
