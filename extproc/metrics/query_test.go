package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"gopkg.in/yaml.v3"
)

// query is one PromQL expression of the examples.
type query struct{ where, text string }

// dashboardQueries are those of the panels and the variables.
func dashboardQueries(t *testing.T) []query {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct {
				Name  string
				Type  string
				Query json.RawMessage
			}
		}
	}
	text, err := os.ReadFile("../../examples/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var out []query
	for _, p := range dashboard.Panels {
		for _, each := range p.Targets {
			out = append(out, query{p.Title, each.Expr})
			for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(each.LegendFormat, -1) {
				if !regexp.MustCompile(`by \([^)]*\b` + m[1] + `\b[^)]*\)`).MatchString(each.Expr) {
					t.Errorf("%s: the legend shows %s, by which nothing is summed", p.Title, m[1])
				}
			}
		}
	}
	for _, v := range dashboard.Templating.List {
		var q struct{ Query string }
		if v.Type != "query" {
			continue
		}
		if err := json.Unmarshal(v.Query, &q); err != nil {
			t.Fatal(err)
		}
		// label_values(metric, label) asks for a label as a sum by it does.
		m := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(q.Query)
		if m == nil {
			t.Fatalf("the variable %s is %s", v.Name, q.Query)
		}
		out = append(out, query{"$" + v.Name, "sum by (" + m[2] + ") (rate(" + m[1] + "[1m]))"})
	}
	return out
}

func alertQueries(t *testing.T) []query {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile("../../examples/grafana/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	var out []query
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Annotations["summary"] == "" {
				t.Errorf("the alert %q has no name or no summary", r.Alert)
			}
			out = append(out, query{r.Alert, r.Expr})
		}
	}
	return out
}

// targetLabels are those that Prometheus itself adds.
func targetLabels() []string { return []string{"job", "instance"} }

func TestDashboardAndAlertsAskOnlyForWhatThereIs(t *testing.T) {
	all := map[string]Definition{}
	for _, d := range New(prometheus.NewRegistry(), "").Definitions() {
		all[d.Name] = d
	}
	queries := append(dashboardQueries(t), alertQueries(t)...)
	asked := map[string]bool{}
	for _, q := range queries {
		for name := range check(t, q, all) {
			asked[name] = true
		}
	}
	if len(queries) < 40 || len(asked) < 25 {
		t.Errorf("%d queries over %d metrics were checked", len(queries), len(asked))
	}
}

// check holds the metrics of a query, and the labels it uses, to what there is;
// it returns the metrics. Quoted text is cut out first, so that only names and
// keywords are left.
func check(t *testing.T, q query, all map[string]Definition) map[string]bool {
	t.Helper()
	text := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(q.text, `""`)
	if strings.Count(text, "(") != strings.Count(text, ")") || strings.Count(text, "{") != strings.Count(text, "}") {
		t.Errorf("%s: brackets do not match: %s", q.where, q.text)
	}
	labels := map[string]bool{}
	for _, m := range regexp.MustCompile(`\{([^}]*)\}|by \(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		for _, each := range strings.Split(m[1]+m[2], ",") {
			labels[regexp.MustCompile(`^\s*(\w+)`).FindString(strings.TrimSpace(each))] = true
		}
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(?:isthmus|gen_ai|litellm|process)_\w+`).FindAllString(
		regexp.MustCompile(`\{[^}]*\}|by \([^)]*\)`).ReplaceAllString(text, ""), -1) {
		if strings.HasPrefix(m, "process_") {
			continue // the client library's
		}
		d, ok := all[m]
		if base := strings.TrimSuffix(m, "_bucket"); base != m {
			if d, ok = all[base]; ok && (d.Kind != "histogram" || !labels["le"]) {
				ok = false
			}
			labels["le"] = false
		} else if d.Kind == "histogram" {
			ok = false
		}
		if d.Kind == "counter" && !regexp.MustCompile(`(rate|increase)\(`+m).MatchString(text) && !strings.HasPrefix(q.where, "$") {
			t.Errorf("%s: the counter %s is shown without a rate: %s", q.where, m, q.text)
		}
		if !ok {
			t.Errorf("%s: there is no %s: %s", q.where, m, q.text)
			continue
		}
		found[d.Name] = true
		for label, used := range labels {
			if used && !slices.Contains(d.Labels, label) && !slices.Contains(targetLabels(), label) {
				t.Errorf("%s: %s has no label %s: %s", q.where, m, label, q.text)
			}
		}
	}
	if len(found) == 0 && !strings.Contains(text, "process_") {
		t.Errorf("%s asks for nothing: %s", q.where, q.text)
	}
	return found
}
