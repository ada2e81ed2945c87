package litellm

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestCompatEveryNameThatTheNewestLiteLLMReadsHasAnAnswer(t *testing.T) {
	testring.Compat(t, "the newest release of LiteLLM")
	version, names := sectionsOf(t, testring.File(t, "../../.cache/newest/litellm-names.txt"))
	t.Logf("LiteLLM %s; the table is for %s", version, Version)
	for _, s := range Sections() {
		for _, name := range read(names, s) {
			if e, ok := Lookup(s, name); !ok {
				t.Errorf("%s: %s has no answer", s, name)
			} else if e.Ours {
				t.Errorf("%s: %s is said to be isthmus's own, and LiteLLM reads it", s, name)
			}
		}
	}
}
