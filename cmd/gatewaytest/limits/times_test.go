package limits

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how soon requests are refused, and slots free after kill -9")
	for name, test := range map[string]func(*testing.T){
		"a refusal without a queue":     TestWithoutAQueueTheRequestOverTheLimitIsRefusedAtOnce,
		"a wait that is too long":       TestWaitingTooLongEndsInA429,
		"refusals of two replicas":      TestLimitsAreExactOverTwoReplicas,
		"the slots of a killed replica": TestAKilledReplicaGivesItsSlotsBackAndItsRequestsStayCounted,
	} {
		t.Run(name, test)
	}
}
