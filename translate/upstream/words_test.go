package upstream

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWordsOfAClientAreBounded(t *testing.T) {
	long, many := strings.Repeat("a", 129), strings.Repeat("b", 100)
	for name, tc := range map[string]struct {
		values []string
		want   []string
	}{
		"a list":                          {[]string{"one-2025-01-01, two_2.0,\tThree"}, []string{"one-2025-01-01", "two_2.0", "Three"}},
		"two fields, and what they share": {[]string{"a,b", "b,c,a"}, []string{"a", "b", "c"}},
		"nothing":                         {[]string{"", " , ,"}, nil},
		"what is no word":                 {[]string{"a b", "c;d", "ok", "e\r\nx: y", "é", `"f"`, "g=h"}, []string{"ok"}},
		"a word that is too long":         {[]string{long + ",ok"}, []string{"ok"}},
		"too many words": {
			[]string{
				many + "1," + many + "2," + many + "3," + many + "4",
				many + "5," + many + "6," + many + "7," + many + "8," + many + "9," + many + "X,last",
			},
			[]string{many + "1", many + "2", many + "3", many + "4", many + "5", many + "6", many + "7", many + "8", many + "9", many + "X"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			header := Header{{"other", "x"}}
			for _, v := range tc.values {
				header = append(header, Field{"list", v})
			}
			if diff := cmp.Diff(tc.want, header.Words("list")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestACallGetsWhatItsProviderTakesOfTheClients(t *testing.T) {
	client := Header{{"version", "2"}, {"beta", "b,c"}, {"beta", "d"}, {"cookie", "canary"}, {"own", "theirs"}}
	call := &Call{
		Header: Header{{"beta", "a,b"}, {"own", "ours"}},
		Takes:  []string{"version", "own", "absent"},
		Joins:  []string{"beta", "absent"},
	}
	want := Header{{"beta", "a,b,c,d"}, {"own", "ours"}, {"version", "2"}}
	if diff := cmp.Diff(want, call.HeaderWith(client)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(Header{{"beta", "a,b"}, {"own", "ours"}}, call.Header); diff != "" {
		t.Errorf("the call itself has changed (-want +got)\n%s", diff)
	}
}
