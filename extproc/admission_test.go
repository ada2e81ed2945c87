package extproc

import (
	"math"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestTheTokensThatARequestMayWriteAreCountedForEachChoice(t *testing.T) {
	for name, tc := range map[string]struct {
		members string
		want    int64
	}{
		"no limit":                         {`"n":2`, 0},
		"the larger of two limits":         {`"max_tokens":5,"max_completion_tokens":7`, 7},
		"one limit for each choice":        {`"max_tokens":5,"n":3`, 15},
		"more choices than providers let":  {`"max_tokens":5,"n":100000`, 640},
		"a limit that no product can hold": {`"max_tokens":9223372036854775807,"n":2`, math.MaxInt64 - 1},
		"what is no number":                {`"max_tokens":"5","n":"3"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[],`+tc.members+`}`), "")
			if err != nil {
				t.Fatal(err)
			}
			if got := sizeOf(request).MaxOutput; got != tc.want {
				t.Errorf("MaxOutput = %d, want %d", got, tc.want)
			}
		})
	}
}
