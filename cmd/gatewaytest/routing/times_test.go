package routing

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how long a retry waits")
	for name, test := range map[string]func(*testing.T){
		"retry_after": TestTheGuidesFallbackBlockThroughEnvoy,
	} {
		t.Run(name, test)
	}
}
