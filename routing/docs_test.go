package routing

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// documentedEffects reads the table of docs/routing.md: what each kind leads to, without the
// column of examples.
func documentedEffects(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| Kind | For example |")
	if !ok {
		t.Fatal("docs/routing.md has no table of kinds")
	}
	rows := map[string][]string{}
	for _, line := range strings.Split(table, "\n")[2:] {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		rows[strings.Trim(cells[0], "`")] = cells[2:]
	}
	return rows
}

// seenEffects is the same as a router does it.
func seenEffects(t *testing.T, k upstream.Kind) []string {
	t.Helper()
	const fallback, large, mild = "f", "large", "mild"
	build := func(names ...string) *world {
		w := newWorld(t, append(names, "f/"+fallback, "large/"+large, "mild/"+mild)...)
		w.contextWindow, w.contentPolicy = map[string][]string{"m": {"large"}}, map[string][]string{"m": {"mild"}}
		return w
	}
	fail := func(w *world, p *Plan) Next {
		w.Begin(&p.Hops[0])
		w.Done(&p.Hops[0], Outcome{Failed: true, Kind: k, Status: 1})
		return w.Failed(p, 1, Failure{Kind: k})
	}
	yes := map[bool]string{true: "yes", false: "no"}
	alone := build("m/a") // no fallback: only the same deployment is left
	same := fail(alone, alone.plan(t, "m"))
	w := build("m/a")
	w.fallbacks["m"] = w.resolve("f")
	p := w.plan(t, "m")
	fail(w, p)
	last := p.Hops[len(p.Hops)-1].Deployment.ID
	cascade := map[string]string{fallback: "yes", large: "`context_window_fallbacks`", mild: "`content_policy_fallbacks`", "a": "no"}[last]

	w = build("m/a", "m/b")
	p = w.plan(t, "m")
	next := fail(w, p)
	others := next.Retry && p.Hops[1].Deployment.ID == "b"
	cells := []string{yes[same.Retry && alone.stateOf("a") == "healthy" && cascade == "yes"], yes[others], cascade}
	if isExcludedEverywhere(p, "a") {
		cells[0] = "no, nor for another model"
	}
	counts := w.deployment("a").meter.used(w.clock).Failures > 0
	cools := "no"
	if w.stateOf("a") == "cooling" {
		cools = "at once"
	}
	for range 2 {
		h := w.hop("a")
		w.Begin(h)
		w.Done(h, Outcome{Failed: true, Kind: k, Status: 1})
	}
	if cools == "no" && w.stateOf("a") == "cooling" {
		cools = "after `allowed_fails`"
	}
	return append(cells, cools, yes[counts])
}

func isExcludedEverywhere(p *Plan, id string) bool {
	for _, e := range p.excluded {
		if e.deployment.ID == id && e.target == everyTarget {
			return true
		}
	}
	return false
}

func TestEachKindLeadsToWhatTheDocumentSays(t *testing.T) {
	seen := map[string][]string{}
	for _, k := range upstream.Kinds() {
		seen[k.String()] = seenEffects(t, k)
	}
	if diff := cmp.Diff(documentedEffects(t), seen); diff != "" {
		t.Errorf("docs/routing.md and the router (-document +router):\n%s", diff)
	}
}
