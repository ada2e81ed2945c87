package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md")

// TestEveryMetricIsDocumented holds the tables of docs/metrics.md to what there
// is. go test ./extproc/metrics -update writes them.
func TestEveryMetricIsDocumented(t *testing.T) {
	const path = "../../docs/metrics.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	definitions := New(prometheus.NewRegistry(), "").Definitions()
	for _, prefix := range []string{"gen_ai", "litellm", "isthmus"} {
		begin, end := "<!-- "+prefix+" -->\n", "<!-- end -->"
		head, rest, ok := strings.Cut(want, begin)
		_, tail, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the %s metrics", path, prefix)
		}
		want = head + begin + markdown(definitions, prefix) + end + tail
	}
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("docs/metrics.md is not what there is (-want +is); write it with -update:\n%s", diff)
	}
}

// markdown is a table of the metrics with a prefix.
func markdown(all []Definition, prefix string) string {
	var b strings.Builder
	b.WriteString("| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n")
	for _, d := range all {
		if strings.HasPrefix(d.Name, prefix+"_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, strings.Join(d.Labels, ", "), d.Help)
		}
	}
	return b.String()
}
