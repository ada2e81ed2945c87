package attach

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how long a retry waits, on every Envoy")
	for name, test := range map[string]func(*testing.T){
		"Retry-After": TestARetryOfTheSameDeploymentWaitsAsItAsks,
	} {
		t.Run(name, test)
	}
}
