package limit

import (
	"testing"
	"time"
)

func TestTheRefusalThatPromisesMoreIsTheClients(t *testing.T) {
	slot, soon, late, never := &Refused{NeedsSlot: true}, &Refused{Wait: time.Second}, &Refused{Wait: time.Minute},
		&Refused{}
	for name, tc := range map[string]struct {
		first, second *Refused
		want          bool
	}{
		"a slot may be free at any moment":        {slot, soon, true},
		"a window lasts":                          {soon, slot, false},
		"the shorter wait":                        {soon, late, true},
		"the longer wait":                         {late, soon, false},
		"any wait is better than one without end": {late, never, true},
		"one without end is better than none":     {never, soon, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.first.sooner(tc.second); got != tc.want {
				t.Errorf("sooner = %v, want %v", got, tc.want)
			}
		})
	}
}
