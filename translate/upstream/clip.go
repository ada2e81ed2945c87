package upstream

import (
	"strings"
	"unicode/utf8"
)

// Clip is a text that others wrote, in valid UTF-8 and cut between two characters
// after limit bytes at most: one text that is no UTF-8, and a collector refuses all
// spans of a batch, Envoy a whole message.
func Clip(text string, limit int) string {
	if len(text) > limit {
		text = text[:RuneStart(text, limit)] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// RuneStart returns the offset at which the character begins that text[at] is a part
// of, or len(text) where at is not inside the text: text[:RuneStart(text, n)] is n
// bytes at most and cuts no character.
func RuneStart(text string, at int) int {
	if at >= len(text) {
		return len(text)
	}
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// maxKey bounds a word that is left off whole, in bytes: a longer one is no key.
const maxKey = 4 << 10

// clipWords is Clip, but leaves off the word that would be cut: half a key is a
// secret too, and no redactor finds it again.
func clipWords(text string, limit int) string {
	if len(text) > limit {
		end := max(limit-maxKey, 0)
		if space := strings.LastIndexAny(text[end:limit], " \t\r\n\"'"); space >= 0 {
			end += space
		}
		return Clip(text, end)
	}
	return Clip(text, limit)
}
