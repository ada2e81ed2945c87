package jsonedit_test

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

func FuzzElementsAgreeWithADecoder(f *testing.F) {
	for _, seed := range []string{`[]`, ` [ 1 , "a]\"," ,{"b":[1,2]},[ ],null ] `, `["\\\\"]`, `["a`, `{"a":1}`, `]]`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got, want []string
		for element := range jsonedit.Elements(jsontext.Value(text)) {
			got = append(got, string(element))
		}
		var list []jsontext.Value
		if jsontext.Value(text).Kind() != '[' || json.Unmarshal([]byte(text), &list, jsontext.AllowDuplicateNames(true)) != nil {
			return
		}
		for _, v := range list {
			want = append(want, string(v))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("elements of %s (-decoder +Elements):\n%s", text, diff)
		}
	})
}
