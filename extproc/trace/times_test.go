package trace

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how long requests wait for a collector")
	for name, test := range map[string]func(*testing.T){
		"a collector that is away": TestACollectorThatIsAwayCostsSpansAndALineAMinute,
	} {
		t.Run(name, test)
	}
}
