package upstream

import (
	"strings"
	"testing"
)

func TestWhatStandsInQuotesIsLeftOut(t *testing.T) {
	for text, want := range map[string]string{
		"nothing is quoted":                 "nothing is quoted",
		`the value "a b" is wrong`:          `the value "" is wrong`,
		"the value 'a b' is wrong":          "the value '' is wrong",
		"the client's value isn't one":      "the client's value isn't one",
		"the models' value":                 "the models' value",
		`"a" and 'b'`:                       `"" and ''`,
		`"it's a \"b\"" is wrong`:           `"" is wrong`,
		"'it's' is wrong":                   "'' is wrong",
		"the name `max_tokens`, not `a b`":  "the name `max_tokens`, not ``",
		"“a” is wrong":                      "“” is wrong",
		`it never "ends`:                    `it never "`,
		"it never “ends":                    "it never “",
		`"the whole message"`:               `"the whole message"`,
		`{"error":{"message":"a","x":"b"}}`: `{"":{"":"a","":""}}`,
		`{'error': {'message': "say 'b'"}}`: `{'': {'': "say ''"}}`,
		`{\"message\":\"a\"}`:               `{\"message\":\"a\"}`,
		`it ends with \`:                    `it ends with \`,
	} {
		if got := unquoted(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func FuzzUnquoted(f *testing.F) {
	for _, text := range []string{"'a' \"b\" `c d` “e”", `{"message":"a 'b'"}`, `\`, `"`, "“", `'a'b'`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := unquoted(text)
		if len(got) > len(text) {
			t.Errorf("%q became %q, which is longer", text, got)
		}
		if !strings.ContainsAny(text, "\"'`“") && got != text {
			t.Errorf("%q, which quotes nothing, became %q", text, got)
		}
	})
}
