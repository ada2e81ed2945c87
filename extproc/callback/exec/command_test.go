package exec

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

func TestParse(t *testing.T) {
	most := []callback.Hook{callback.PreAPICall, callback.PostAPICall, callback.SuccessEvent, callback.FailureEvent}
	for line, want := range map[string]Command{
		`python3 isthmus_callback.py my.py`:     {Words: []string{"python3", "isthmus_callback.py", "my.py"}, Hooks: most},
		`  "/opt/my tools/x"  'it''s' a\ b "" `: {Words: []string{"/opt/my tools/x", "its", "a b", ""}, Hooks: most},
		`A=1 B='two words' prog C=3`:            {Env: []string{"A=1", "B=two words"}, Words: []string{"prog", "C=3"}, Hooks: most},
		`ISTHMUS_HOOKS=stream_event,success_event prog`: {
			Env: []string{"ISTHMUS_HOOKS=stream_event,success_event"}, Words: []string{"prog"}, Hooks: []callback.Hook{callback.StreamEvent,
				callback.SuccessEvent},
		},
	} {
		got, err := Parse(line)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", line, err, diff)
		}
	}
	for _, line := range []string{"", "   ", "A=1", `"open`, `end\`, "ISTHMUS_HOOKS=every_event prog"} {
		if _, err := Parse(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`a "b c" 'd'\ e`)
	f.Add("\xbe")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err == nil && len(words) == 0 {
			t.Error("no words and no error")
		}
		if !strings.ContainsAny(line, "\"'\\") && err == nil &&
			cmp.Diff(strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' }), words) != "" {
			t.Errorf("%q is %q", line, words)
		}
	})
}
