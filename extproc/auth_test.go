package extproc

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestCallersAreToldApartAndTheirKeysAreNoNames(t *testing.T) {
	long := strings.Repeat("x", 200)
	named := func(tenant, value string) string {
		return newTenancy(tenant).caller(upstream.Header{{Name: "x-team", Value: value}, {Name: "authorization", Value: value}})
	}
	if a, b := named("x-team", "red"), named("x-team", "blue"); a != "red" || b != "blue" {
		t.Errorf("names %q and %q", a, b)
	}
	if a, b := named("", "red"), named("x-other", "red"); a != sharedCaller || b != unnamedCaller {
		t.Errorf("without a header %q, without a name %q", a, b)
	}
	if a, b := named("x-team", long+"a"), named("x-team", long+"b"); a == b || len(a) != maxCaller || !strings.HasPrefix(a, "xxxx") {
		t.Errorf("names of the same beginning: %q and %q", a, b)
	}
	if a, b, c := named("x-team", "-"), named("x-team", "*"), named("x-team", `\-`); a == unnamedCaller || b == sharedCaller || a == c ||
		c == `\-` {
		t.Errorf("the words for those without a name are names: %q, %q, %q", a, b, c)
	}
	if a := named("x-team", long); named("x-team", a) == a {
		t.Errorf("a name that is another's short form is taken for that one: %q", a)
	}
	if a := named("x-team", strings.Repeat("ß", 100)); !utf8.ValidString(a) || len(a) > maxCaller {
		t.Errorf("a long name is cut to %q", a)
	}
	a, again, b := named("authorization", "Bearer sk-canary-a"), named("authorization", "Bearer sk-canary-a"),
		named("authorization", "Bearer sk-canary-b")
	if a != again || a == b || strings.Contains(a, "canary") || !strings.HasPrefix(a, "key-") {
		t.Errorf("keys: %q, %q and %q", a, again, b)
	}
}

func TestACallerIsNamedOnce(t *testing.T) {
	twice := func(a, b string) upstream.Header {
		return upstream.Header{{Name: "x-team", Value: a}, {Name: "x-other", Value: "z"}, {Name: "x-team", Value: b}}
	}
	team := newTenancy("x-team")
	for name, tc := range map[string]struct {
		of      tenancy
		header  upstream.Header
		refused bool
	}{
		"a client's name before the mesh's": {team, twice("spoofed", "mesh"), true},
		"the same name twice":               {team, twice("mesh", "mesh"), false},
		"no name":                           {team, nil, false},
		"invalid UTF-8":                     {team, upstream.Header{{Name: "x-team", Value: "a\xff"}}, true},
		"a control character":               {team, upstream.Header{{Name: "x-team", Value: "a\tb"}}, true},
		"a key of any bytes":                {newTenancy("x-api-key"), upstream.Header{{Name: "x-api-key", Value: "a\xff"}}, false},
		"nobody asks for names":             {newTenancy(""), twice("spoofed", "mesh"), false},
	} {
		if err := tc.of.check(tc.header); (err != nil) != tc.refused {
			t.Errorf("%s: %v", name, err)
		}
	}
}
