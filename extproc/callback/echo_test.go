package callback

import (
	"strings"
	"testing"
)

func TestWhatASinkRepeatsIsTakenOutOfItsWords(t *testing.T) {
	sent := [][]byte{[]byte(`{"messages":[{"content":"my pin is 4711, caf\u00e9"}]}`), []byte("Bearer sk-canary-1"),
		[]byte("http://h/hook?key=s3cr3t")}
	for said, want := range map[string]string{
		"":                                  "",
		"the quota of this account is used": "the quota of this account … used",
		"invalid project":                   "invalid project",
		"POST /hook?key=s3cr3t failed":      "POST /… failed",
		`bad body: {"messages":[{"content":"my pin is 4711, caf\u00e9"}]}`: `bad body: {"…"}]}`,
		"Authorization: Bearer sk-canary-1":                                "Authorization: …",
		"wrong key: sk-canary-1!":                                          "wrong …!",
	} {
		if got := WithoutEcho(said, sent...); got != want {
			t.Errorf("%q becomes %q, want %q", said, got, want)
		}
	}
}

func FuzzWithoutEcho(f *testing.F) {
	f.Add("a b", "b")
	f.Add("…x…", "x")
	f.Add("\xff a", "\xff")
	f.Fuzz(func(t *testing.T, said, sent string) {
		got := WithoutEcho(said, []byte(sent))
		for _, word := range strings.FieldsFunc(sent, func(r rune) bool { return !isWordPart(r) }) {
			for _, left := range strings.FieldsFunc(got, func(r rune) bool { return !isWordPart(r) }) {
				if left == word {
					t.Errorf("%q of %q is still in %q", word, sent, got)
				}
			}
		}
	})
}

// BenchmarkWithoutEcho is an error page that repeats a batch of the largest size.
func BenchmarkWithoutEcho(b *testing.B) {
	sent := []byte(strings.Repeat("lorem ipsum dolor sit amet ", 4<<20/27))
	said := strings.Repeat("an error that says something else ", 15)
	b.ReportAllocs()
	for b.Loop() {
		WithoutEcho(said, sent)
	}
}
