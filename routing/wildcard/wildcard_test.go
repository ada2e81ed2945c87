package wildcard_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/wildcard"
)

func TestAPatternCoversTheWholeNameOrNothing(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          []string // nil: it does not match
	}{
		{"openai/*", "openai/gpt-4o", []string{"gpt-4o"}},
		{"openai/*", "openai/", []string{""}},
		{"openai/*", "openai/*", []string{"*"}},
		{"openai/*", "my-openai/gpt-4o", nil},
		{"*", "**", []string{"**"}},
		{"*-mini", "gpt-4o-mini", []string{"gpt-4o"}},
		{"*-mini", "gpt-4o-mini-2024", nil},
		{"a/*-*", "a/x-y-z", []string{"x", "y-z"}},
		{"a/*-*", "a/xyz", nil},
		{"a*a", "a", nil},
		{"a*b*b", "ab", nil},
		{"exact", "exact", []string{}},
		{"exact", "exactly", nil},
	} {
		got, ok := wildcard.New(tc.pattern).Captures(tc.name)
		if ok != (tc.want != nil) || ok && !slices.Equal(got, tc.want) {
			t.Errorf("%s of %s: %q, %v; want %q", tc.pattern, tc.name, got, ok, tc.want)
		}
	}
}

func TestEachStarIsFilledOnceAndWhatIsPutInIsNotLookedAt(t *testing.T) {
	for _, tc := range []struct {
		pattern  string
		captures []string
		whole    string
		want     string
	}{
		{"openai/*", []string{"gpt-4o"}, "up/gpt-4o", "openai/gpt-4o"},
		{"openai/*", []string{"*"}, "up/*", "openai/*"},
		{"*/*", []string{"**", "*"}, "x", "**/*"},
		{"*-*", []string{"a"}, "up/*", "a-up/*"},
		{"*", nil, "*", "*"},
		{"exact", []string{"a"}, "b", "exact"},
	} {
		if got, ok := wildcard.New(tc.pattern).Fill(tc.captures, tc.whole); !ok || got != tc.want {
			t.Errorf("%s with %q: %q, %v; want %q", tc.pattern, tc.captures, got, ok, tc.want)
		}
	}
}

func TestStarsDoNotMultiplyALongName(t *testing.T) {
	long := strings.Repeat("x", 1000)
	if _, ok := wildcard.New("*/*").Fill(nil, long); ok {
		t.Error("a name of 2001 bytes was made")
	}
	if wildcard.New("*").Matches(long + long) {
		t.Error("a name of 2000 bytes is covered")
	}
}

// FuzzFill: whatever stars come in, as many as are written stay: those of what is
// put in, and what a pattern covers is put together again by its captures.
func FuzzFill(f *testing.F) {
	f.Add("up/*", "up/*", "openai/*")
	f.Add("*", "***", "*/*")
	f.Add("a*b*c", "aXbYc", "*-*-*")
	f.Add("", "", "*")
	f.Fuzz(func(t *testing.T, group, name, model string) {
		p, m := wildcard.New(group), wildcard.New(model)
		captures, ok := p.Captures(name)
		if ok != p.Matches(name) {
			t.Fatalf("%q and %q: Captures says %v, Matches the opposite", group, name, ok)
		}
		if ok {
			if again, _ := p.Fill(captures, ""); again != name {
				t.Fatalf("%q filled with %q is %q, not %q", group, captures, again, name)
			}
		}
		filled, ok := m.Fill(captures, name)
		if !ok {
			return
		}
		stars := 0
		for i := range m.Stars() {
			put := name
			if i < len(captures) {
				put = captures[i]
			}
			stars += strings.Count(put, "*")
		}
		if got := strings.Count(filled, "*"); got != stars {
			t.Fatalf("%q filled with %q, %q is %q: %d stars, want %d", model, captures, name, filled, got, stars)
		}
	})
}

func BenchmarkFill(b *testing.B) {
	group, model := wildcard.New("up/*"), wildcard.New("openai/*")
	b.ReportAllocs()
	for b.Loop() {
		captures, _ := group.Captures("up/gpt-4o-mini")
		if _, ok := model.Fill(captures, "up/gpt-4o-mini"); !ok {
			b.Fatal("not filled")
		}
	}
}
