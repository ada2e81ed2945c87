package requests

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges when timeouts end a request, and whether 50 MB are handled before them")
	for name, test := range map[string]func(*testing.T){
		"timeouts":   TestTimeouts,
		"big bodies": TestBigBodiesArriveWhole,
	} {
		t.Run(name, test)
	}
}
