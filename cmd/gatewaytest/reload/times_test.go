package reload

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how soon the command ends after its last request")
	for name, test := range map[string]func(*testing.T){
		"the end of a drain": TestASignalLetsOpenRequestsFinishAndRefusesNewOnes,
	} {
		t.Run(name, test)
	}
}
