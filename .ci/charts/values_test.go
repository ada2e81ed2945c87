package charts

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the table of values in the chart's README anew")

// value is one of values.yaml that a comment explains.
type value struct {
	name, preset, meaning string
	group                 bool // it has members, which follow
}

// values reads values.yaml: the values without members of their own, and those whose members are Kubernetes' or the user's.
func values(t *testing.T) (all []value) {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(read(t, chartDir+"/values.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, node *yaml.Node)
	walk = func(prefix string, node *yaml.Node) {
		for i := 0; i < len(node.Content); i += 2 {
			key, member := node.Content[i], node.Content[i+1]
			name := prefix + key.Value
			meaning := strings.Join(strings.Fields(strings.ReplaceAll("\n"+key.HeadComment, "\n#", " ")), " ")
			if documented(member) {
				if meaning != "" {
					all = append(all, value{name: name, meaning: meaning, group: true})
				}
				walk(name+".", member)
				continue
			}
			all = append(all, value{name: name, preset: preset(t, member), meaning: meaning})
		}
	}
	walk("", document.Content[0])
	return all
}

// documented reports whether the members of a node have comments of their own.
func documented(node *yaml.Node) bool {
	return node.Kind == yaml.MappingNode && len(node.Content) > 0 && node.Content[0].HeadComment != ""
}

// preset writes a default for the table: short, or "see values.yaml".
func preset(t *testing.T, node *yaml.Node) string {
	t.Helper()
	var v any
	if err := node.Decode(&v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	switch s, isText := v.(string); {
	case isText && s == "":
		return ""
	case isText:
		return "`" + s + "`"
	case len(text) > 40:
		return "[values.yaml](values.yaml)"
	}
	return "`" + string(text) + "`"
}

func TestEveryValueIsExplained(t *testing.T) {
	for _, v := range values(t) {
		if v.meaning == "" {
			t.Errorf("values.yaml: %s has no comment", v.name)
		}
	}
}

// TestTheReadmeHasEveryValue writes the table anew with -update.
func TestTheReadmeHasEveryValue(t *testing.T) {
	const path, begin, end = chartDir + "/README.md", "<!-- values -->\n", "<!-- end -->\n"
	var table strings.Builder
	table.WriteString("| Value | Default | Meaning |\n|---|---|---|\n")
	for _, v := range values(t) {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", v.name, v.preset, strings.ReplaceAll(v.meaning, "|", `\|`))
	}
	text := read(t, path)
	before, rest, found := strings.Cut(text, begin)
	had, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no %s", path, strings.TrimSpace(begin))
	}
	if had == table.String() {
		return
	}
	if !*update {
		t.Fatalf("the table of %s is out of date: go test ./... -run TheReadmeHasEveryValue -update", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+table.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestTheSchemaKnowsEveryValueAndNoOther compares the names in values.schema.json with those in values.yaml.
func TestTheSchemaKnowsEveryValueAndNoOther(t *testing.T) {
	type schema struct {
		AdditionalProperties any
		Properties           map[string]*schema
	}
	var all schema
	if err := json.Unmarshal([]byte(read(t, chartDir+"/values.schema.json")), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, v := range values(t) {
		if !v.group {
			names = append(names, v.name)
		}
	}
	var compare func(prefix string, s *schema)
	compare = func(prefix string, s *schema) {
		if s.AdditionalProperties != false {
			t.Errorf("the schema takes any name below %q", prefix)
		}
		for key, member := range s.Properties {
			name := prefix + key
			switch {
			case slices.Contains(names, name), name == "global": // what a chart gives the charts in it
			case slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, name+".") }):
				compare(name+".", member)
			default:
				t.Errorf("the schema has %s, values.yaml does not", name)
			}
		}
	}
	compare("", &all)
	for _, name := range names {
		s := &all
		for part := range strings.SplitSeq(name, ".") {
			if s = s.Properties[part]; s == nil {
				t.Errorf("values.yaml has %s, the schema does not", name)
				break
			}
		}
	}
}
