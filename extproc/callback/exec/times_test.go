package exec

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how soon a program is made to end")
	for name, test := range map[string]func(*testing.T){
		"a program that does not end": TestAProgramThatDoesNotEndIsMadeTo,
	} {
		t.Run(name, test)
	}
}
