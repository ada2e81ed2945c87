package cli

import (
	"testing"
	"time"
)

func TestThePauseBeforeARestartGrowsAndBeginsAnewAfterAWhile(t *testing.T) {
	for name, tc := range map[string]struct {
		jitter float64
		served []time.Duration
		want   time.Duration // of the last
	}{
		"the first is short":                     {1, []time.Duration{0}, 100 * time.Millisecond},
		"each is twice the one before":           {1, []time.Duration{0, 0, time.Second, 0}, 800 * time.Millisecond},
		"at most half of it is left to chance":   {0, []time.Duration{0, 0, 0, 0}, 400 * time.Millisecond},
		"it is bounded":                          {1, make([]time.Duration, 40), 30 * time.Second},
		"one that served for a while begins new": {1, []time.Duration{0, 0, 0, time.Minute}, 100 * time.Millisecond},
	} {
		p := &restartPause{jitter: func() float64 { return tc.jitter }}
		var got time.Duration
		for _, served := range tc.served {
			got = p.after(served)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}
