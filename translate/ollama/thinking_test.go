package ollama

import "testing"

func TestThoughtCountsAboutTheTokensOfATokenizer(t *testing.T) {
	for text, want := range map[string]int64{
		"":                                0,
		"Let me see":                      3,
		"Okay, so 12345 is a number.\n\n": 11, // Okay|,| so| |123|45| is| a| number|.|\n\n
		"That's what f_x (now) does":      9,  // That|'s| what| f|_x| (|now|)| does
		"日本語":                             3,
		"Grüße":                           1,
	} {
		var whole, cut thought
		whole.add(text)
		for _, r := range text {
			cut.add(string(r))
		}
		if whole.tokens != want || cut.tokens != want {
			t.Errorf("%q: %d tokens, cut %d, want %d", text, whole.tokens, cut.tokens, want)
		}
	}
}
