package config

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const settingsDocument = "../../docs/configuration.md"

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var code = regexp.MustCompile("`([^`]+)`")

// documented is what stands in the first column of those tables of the document
// whose head is one of these.
func documented(t *testing.T, heads ...string) []string {
	t.Helper()
	var names []string
	inside := false
	for line := range strings.Lines(document(t, settingsDocument)) {
		first, _, ok := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		switch {
		case strings.HasPrefix(line, "|--"):
		case !ok || !strings.HasPrefix(line, "|"):
			inside = false
		case slices.Contains(heads, first):
			inside = true
		case inside:
			for _, m := range code.FindAllStringSubmatch(first, -1) {
				names = append(names, m[1])
			}
		}
	}
	if len(names) == 0 {
		t.Fatalf("docs/configuration.md has no table %v", heads)
	}
	return names
}

// read is what the cases of these functions name: the members that they read.
func read(t *testing.T, file string, functions ...string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if f, ok := n.(*ast.FuncDecl); ok {
			return slices.Contains(functions, f.Name.Name)
		}
		if c, ok := n.(*ast.CaseClause); ok {
			for _, e := range c.List {
				if text, ok := e.(*ast.BasicLit); ok && text.Kind == token.STRING {
					name, _ := strconv.Unquote(text.Value)
					names = append(names, name)
				}
			}
		}
		return true
	})
	if len(names) == 0 {
		t.Fatalf("%s reads nothing in %v", file, functions)
	}
	return names
}

// TestTheTablesOfTheDocumentAreWhatIsRead holds docs/configuration.md to the code,
// both ways.
func TestTheTablesOfTheDocumentAreWhatIsRead(t *testing.T) {
	said := []string{"max_messages", "redis_flush_size"} // read to say that they mean nothing here
	for what, c := range map[string]struct{ documented, read []string }{
		"a setting":                  {documented(t, "Setting"), slices.Collect(maps.Keys(settingTable()))},
		"a member of litellm_params": {documented(t, "litellm_params"), read(t, "param.go", "param", "steering", "either", "rate")},
		"a member of model_info":     {documented(t, "model_info"), read(t, "param.go", "info", "either", "rate")},
		"a member of cache_params":   {documented(t, "cache_params"), read(t, "cache.go", "cacheParams", "redisParam")},
		"a class of retry_policy":    {documented(t, "retry_policy"), retryClasses()},
		"a variable of a setting":    {documented(t, "Variable"), variableNames()},
	} {
		for _, name := range c.read {
			if !slices.Contains(c.documented, name) && !slices.Contains(said, name) {
				t.Errorf("docs/configuration.md has no %s among its %s", name, what)
			}
		}
		for _, name := range c.documented {
			if !slices.Contains(c.read, name) {
				t.Errorf("docs/configuration.md has %s, which is not read as %s", name, what)
			}
		}
	}
}

// variableNames are the variables that stand for settings, and those that are read
// by themselves.
func variableNames() []string {
	names := []string{"LITELLM_LOG"}
	for _, pair := range settingVariables() {
		names = append(names, pair[0])
	}
	return names
}

// TestEveryExampleOfTheDocumentsLoads reads each YAML block of the documents as a
// user would. One that shows settings alone is read beside a model.
func TestEveryExampleOfTheDocumentsLoads(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../examples/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		paths = append(paths, found...)
	}
	lookup := func(name string) (string, bool) {
		switch {
		case regexp.MustCompile(`(KEY|TOKEN|SECRET|HOST)$`).MatchString(name):
			return "value", true
		case strings.HasSuffix(name, "_URI"), strings.HasSuffix(name, "_ENDPOINT"):
			return "https://other.example", true
		}
		return "", false
	}
	loaded := 0
	for _, path := range paths {
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(document(t, path), -1) {
			text := block[1]
			if strings.HasPrefix(text, "scrape_configs:") {
				continue // Prometheus's
			}
			if !strings.Contains(text, "model_list:") {
				text = "model_list:\n  - {model_name: m, litellm_params: {model: ollama/m}}\n" + text
			}
			_, notes, err := Parse(path, []byte(text), Options{Lookup: lookup, Strict: true})
			if err != nil {
				t.Errorf("%s: %v in:\n%s", path, err, block[1])
			}
			for _, n := range notes {
				if n.Severity == Warning {
					t.Errorf("%s: a warning: %s in:\n%s", path, n, block[1])
				}
			}
			loaded++
		}
	}
	if loaded < 10 {
		t.Errorf("%d blocks were found", loaded)
	}
}
