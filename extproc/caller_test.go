package extproc

import (
	"strings"
	"testing"

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
	a, again, b := named("authorization", "Bearer sk-canary-a"), named("authorization", "Bearer sk-canary-a"), named("authorization", "Bearer sk-canary-b")
	if a != again || a == b || strings.Contains(a, "canary") || !strings.HasPrefix(a, "key-") {
		t.Errorf("keys: %q, %q and %q", a, again, b)
	}
}
