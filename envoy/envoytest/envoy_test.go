package envoytest

import "testing"

// TestEveryReleaseRunsHere also fetches those that are not there: .ci/deps runs it.
func TestEveryReleaseRunsHere(t *testing.T) {
	for _, release := range Releases() {
		if b := Envoy(t, release); b.Version != release {
			t.Errorf("%s is Envoy %s, not %s", b.Path, b.Version, release)
		}
	}
}
