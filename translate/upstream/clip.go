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
		for limit > 0 && !utf8.RuneStart(text[limit]) {
			limit--
		}
		text = text[:limit] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
