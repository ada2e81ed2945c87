package limit_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// TestSoakTimes runs the tests whose times matter too once more, and judges these.
func TestSoakTimes(t *testing.T) {
	testring.Soak(t, "judges how late calls are while Redis is away, and how soon slots are free")
	for name, test := range map[string]func(*testing.T){
		"a frozen Redis":                TestAFrozenRedisDelaysAndFailsNobody,
		"a Redis that cannot write":     TestARedisThatCannotWriteIsAway,
		"the slots of a killed replica": TestAKilledReplicaGivesItsSlotsBack,
	} {
		t.Run(name, test)
	}
}
