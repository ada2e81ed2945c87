package callbacks

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how soon a record leaves")
	for name, test := range map[string]func(*testing.T){
		"the guide's webhook": TestABlockThatAsksForSuccessGetsNoFailures,
	} {
		t.Run(name, test)
	}
}
