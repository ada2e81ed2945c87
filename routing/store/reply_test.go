package store

import (
	"testing"
	"time"
)

func TestAnAnswerThatIsNoneIsAnErrorAndSetsNoClock(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            "",
		"no numbers":         "OK",
		"half an answer":     "0 1700000000000",
		"a time that is not": "0 soon 0 0 0",
		"a slot missing":     "-1 1700000000000 1000 0 2 1",
		"a kind not known":   "-1 1700000000000 1000 1 99 1 0",
		"a slot not named":   "-1 1700000000000 1000 0 1 2",
	} {
		t.Run(name, func(t *testing.T) {
			r := &Redis{now: time.Now}
			reply, err := r.readReply(text, time.Now(), []string{"k"})
			if err == nil {
				t.Errorf("read as %+v", reply)
			}
			if k := r.skew.Load(); k != nil {
				t.Errorf("it moved the clock by %v", k.ahead)
			}
		})
	}
}
