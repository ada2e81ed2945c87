package upstream

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestANameThatLeavesItsFolderIsRefused(t *testing.T) {
	for _, name := range []string{
		".", "..", "a/..", "../a", "a/../b", "a/./b", `a\..\b`, `..\`, "a/%2e%2e/b", "a%2f..%2fb", "%2E%2e", ".%2e", "a%5c..%5Cb",
		"%252e%252e/x", "a%25252f..",
		"/../x", "//..", "..//",
	} {
		if CheckName("model", name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
	for _, name := range []string{
		"gpt-4.1", "a/b.c", "...", "a..b", "models/gemini-2.5-pro", "org/model:free", "100%", "a%20b", "größe-ß", "日本語", "up/*",
		"@cf/meta/llama",
	} {
		if err := CheckName("model", name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestANameThatNoMessageCarriesIsRefused(t *testing.T) {
	for _, name := range []string{"a\xff", "a\x00", "a\nb", "a\x7f", "a\u0085b", "\xc3\x28", strings.Repeat("m", MaxName+1), "\xed\xa0\x80"} {
		if CheckName("model", name) == nil || CheckLabel("tags", name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if err := CheckLabel("tags", "../a"); err != nil {
		t.Errorf("a tag goes into no path: %v", err)
	}
}

// FuzzPath: whatever the name, the path stays below the provider's.
func FuzzPath(f *testing.F) {
	for _, name := range []string{"gpt-4o", "../x", "a/%2e%2e/b", `a\..\b`, "models/x?y#z", "a;b", "%", "a//b", "%25252e"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := PathSegment(name)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, "/?#\\ ") || strings.ContainsFunc(got, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
			t.Fatalf("%q becomes %q", name, got)
		}
		whole := "/v1/models/" + got
		for range 8 { // as often as servers in a row may decode
			if clean := path.Clean(strings.ReplaceAll(whole, `\`, "/")); clean != "/v1/models" && !strings.HasPrefix(clean, "/v1/models/") {
				t.Fatalf("%q becomes %q, which is %q", name, got, clean)
			}
			next, err := url.PathUnescape(whole)
			if err != nil {
				break
			}
			whole = next
		}
	})
}

func BenchmarkCheckName(b *testing.B) {
	for b.Loop() {
		if CheckName("model", "openrouter/anthropic/claude-sonnet-4.5") != nil {
			b.Fatal("refused")
		}
	}
}
