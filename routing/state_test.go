package routing

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCascadeTellsWhereANameLeads(t *testing.T) {
	w := newWorld(t, "a/1", "b/2", "c/3")
	w.aliases["chain"] = append(w.resolve("a"), w.resolve("b")...)
	w.fallbacks["a"] = w.resolve("c")
	for name, want := range map[string][]Stage{
		"b":     {{Group: "b"}},
		"a":     {{Group: "a"}, {Group: "c", Fallback: true}},
		"chain": {{Group: "a"}, {Group: "b"}, {Group: "c", Fallback: true}},
		"none":  nil,
	} {
		if diff := cmp.Diff(want, w.Cascade(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
