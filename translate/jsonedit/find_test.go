package jsonedit_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

func TestNamesAreThoseOfMembersAtAnyDepth(t *testing.T) {
	const text = `{"a" : 1, "b":{"c\"d":["e",{"f":"\\"}]}, "g":"\"h\":1", "":null}`
	var got []string
	for name, at := range jsonedit.Names([]byte(text)) {
		got = append(got, string(name)+"="+text[at:at+1])
	}
	want := []string{"a=1", "b={", `c\"d=[`, `f="`, `g="`, "=n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names and their values (-want +got):\n%s", diff)
	}
}

func TestNamesStopWhenToldTo(t *testing.T) {
	for name := range jsonedit.Names([]byte(`{"a":1,"b":2}`)) {
		if string(name) != "a" {
			t.Errorf("went on to %s", name)
		}
		break
	}
}

func FuzzNamesAgreeWithADecoder(f *testing.F) {
	f.Add(`{"a":[{"b\\":"\""},{"c":{}}],"d\"":":"}`)
	f.Add(`{"a" :`)
	f.Fuzz(func(t *testing.T, text string) {
		var got []string
		for name, at := range jsonedit.Names([]byte(text)) {
			got = append(got, string(name))
			_ = text[at:] // never beyond the end
		}
		if !jsontext.Value(text).IsValid() {
			return
		}
		if diff := cmp.Diff(namesOf(text), got); diff != "" {
			t.Errorf("names of %s (-decoder +Names):\n%s", text, diff)
		}
	})
}

// namesOf lists the names of valid JSON as they are spelt.
func namesOf(text string) (names []string) {
	dec := jsontext.NewDecoder(strings.NewReader(text))
	for {
		kind, n := dec.StackIndex(dec.StackDepth())
		if next := dec.PeekKind(); kind == '{' && n%2 == 0 && next == '"' {
			value, _ := dec.ReadValue()
			names = append(names, string(value[1:len(value)-1]))
			continue
		}
		if _, err := dec.ReadToken(); err != nil {
			return names
		}
	}
}
