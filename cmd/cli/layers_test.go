package cli

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers says which of our packages a folder may import, beside those below it
// in its own folder. docs/architecture.md draws the same arrows.
func layers() map[string][]string {
	return map[string][]string{
		"translate":                     {},
		"routing/wildcard":              {},
		"routing/file":                  {},
		"routing/guard":                 {}, // whoever has a goroutine imports it
		"routing/config":                {"translate", "routing/file", "routing/wildcard"},
		"routing/store":                 {"translate", "routing/file", "routing/guard"},
		"routing/limit":                 {"translate", "routing/guard", "routing/store"},
		"routing":                       {"translate", "routing/config", "routing/wildcard", "routing/guard", "routing/store", "routing/limit"},
		"routing/simulate":              {"translate", "routing", "routing/config", "routing/limit"}, // a command
		"envoy":                         {},                                                          // its own envoy/names aside
		"envoy/names":                   {},
		"extproc/admin":                 {"translate/upstream", "routing", "extproc"}, // extproc does not know it
		"extproc/cache":                 {"translate", "routing/guard", "routing/store"},
		"extproc/callback":              {"translate", "routing/guard", "extproc/callback"},
		"extproc/callback/callbacktest": {"translate", "extproc/callback", "cmd/asynctest", "cmd/testring"},
		"extproc/peer":                  {"routing/guard"},
		"extproc/metrics":               {"translate", "extproc/wire"},
		"extproc/trace":                 {"translate/upstream", "translate/chat"},
		"extproc/status":                {},
		"extproc/wire":                  {"translate/upstream", "envoy/names"},
		"extproc":                       {"translate", "routing", "extproc", "envoy/names"},
		"cmd":                           {"translate", "routing", "envoy", "extproc", "cmd"},
		"examples":                      {"cmd", "extproc"},
		"translate/chat": {"translate/jsonedit", "translate/litellm", "translate/upstream", "translate/secret", "translate/sse",
			"translate/ndjson"},
		"translate/jsonedit":  {},
		"translate/litellm":   {},
		"translate/sse":       {},
		"translate/ndjson":    {},
		"translate/secret":    {},
		"translate/upstream":  {"translate/secret"},
		"translate/openai":    pivot("translate/tokens"),
		"translate/azure":     pivot("translate/openai"),
		"translate/anthropic": pivot(),
		"translate/gemini":    pivot(),
		"translate/ollama":    pivot(),
		"translate/tokens":    pivot(),

		"extproc/callback/all":    {"translate", "extproc/callback", "routing/config", "routing/guard"},
		"envoy/envoytest":         {"envoy", "cmd/testring"},
		"envoy/xds":               {"envoy"},
		"cmd/asynctest":           {},
		"cmd/testring":            {},
		"translate/translatetest": {"translate"},
		"routing/store/storetest": {"translate", "routing/store", "cmd/asynctest", "cmd/testring"},
	}
}

// pivot is what a provider's folder may import: never another provider, except
// azure, which speaks OpenAI's format.
func pivot(more ...string) []string {
	return append(more, "translate/chat", "translate/jsonedit", "translate/litellm", "translate/sse", "translate/ndjson", "translate/secret",
		"translate/upstream")
}

func TestArrowsBetweenPackagesPointOneWay(t *testing.T) {
	const module = "github.com/isthmus-proxy/isthmus/"
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		path, imports, _ := strings.Cut(line, ":")
		from := strings.TrimPrefix(path, module)
		rule, allowed := ruleFor(from)
		if rule == "" {
			t.Errorf("%s: layers says nothing of this package", from)
			continue
		}
		for _, i := range strings.Fields(imports) {
			to, ours := strings.CutPrefix(i, module)
			if !ours || under(to, from) || from == to {
				continue
			}
			checked++
			if !slices.ContainsFunc(allowed, func(folder string) bool { return under(to, folder) }) {
				t.Errorf("%s imports %s: %s may import %v", from, to, rule, allowed)
			}
		}
	}
	if checked < 30 {
		t.Errorf("only %d arrows were checked", checked)
	}
}

// ruleFor finds the rule of the longest folder that holds the package.
func ruleFor(path string) (string, []string) {
	best := ""
	for folder := range layers() {
		if under(path, folder) && len(folder) > len(best) {
			best = folder
		}
	}
	return best, layers()[best]
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }
