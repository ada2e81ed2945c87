package ollama

import "testing"

func TestTags(t *testing.T) {
	for name, tc := range map[string]struct{ text, thought, answer string }{
		"no tags":                    {"a < b", "", "a < b"},
		"thinking, then the answer":  {"<think>hm\n</think>\n\nok", "hm\n", "\n\nok"},
		"white space before":         {"\n <think>hm</think>ok", "hm", "ok"},
		"tags later on are content":  {"see <think>x</think>", "", "see <think>x</think>"},
		"only the first pair counts": {"<think>a</think>b<think>c</think>", "a", "b<think>c</think>"},
		"cut off while it thinks":    {"<think>hm </thi", "hm </thi", ""},
		"half a tag is content":      {"<thi", "", "<thi"},
		"white space only":           {" \n", "", " \n"},
		"an empty thought":           {"<think></think>ok", "", "ok"},
	} {
		for cut := range len(tc.text) + 1 {
			var parts tags
			a, b := parts.split(tc.text[:cut], false)
			c, d := parts.split(tc.text[cut:], false)
			e, f := parts.split("", true)
			if thought, answer := a+c+e, b+d+f; thought != tc.thought || answer != tc.answer {
				t.Errorf("%s, cut at %d: thought %q, answer %q", name, cut, thought, answer)
			}
		}
	}
}
