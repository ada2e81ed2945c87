package all

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how long handing a record over takes, and how soon a batch leaves")
	for name, test := range map[string]func(*testing.T){
		"sinks in trouble":    TestASinkInTroubleCostsNobodyAnything,
		"the guide's webhook": TestTheGuidesWebhookBlock,
	} {
		t.Run(name, test)
	}
}
