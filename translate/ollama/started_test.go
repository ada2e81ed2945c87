package ollama_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/translatetest"
)

func TestAStreamStartsWithItsFirstContent(t *testing.T) {
	silent := []string{
		"\n", `{"model":"m","message":{"role":"assistant","content":""},"done":false}` + "\n",
	}
	translatetest.Starts(t, suite, translatetest.Opening{Silent: silent, Carriers: []string{
		`{"message":{"role":"assistant","content":"a"},"done":false}` + "\n",
		`{"message":{"role":"assistant","content":"","thinking":"a"},"done":false}` + "\n",
		`{"message":{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{}}}]},"done":false}` + "\n",
		`{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":1}` + "\n",
	}})
	translatetest.Starts(t, suite, translatetest.Opening{Silent: append(silent, `{"error":"out of memory"}`+"\n")})
}
