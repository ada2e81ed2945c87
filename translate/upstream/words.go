package upstream

import (
	"slices"
	"strings"
)

// Bounds of a client's list of words, in bytes: of all together, and of one.
const (
	maxWords = 1024
	maxWord  = 128
)

// Words reads the fields of that name (lower case) as one comma-separated list of
// words, each once. The list is a client's: what is no word of letters, digits,
// '-', '_' and '.', is too long, or comes after too many others is left out.
func (h Header) Words(name string) []string {
	var words []string
	size := 0
	for i := range h {
		if h[i].Name != name {
			continue
		}
		for word := range strings.SplitSeq(h[i].Value, ",") {
			word = strings.Trim(word, " \t")
			if !isWord(word) || slices.Contains(words, word) {
				continue
			}
			if size += len(word) + 1; size > maxWords {
				return words
			}
			words = append(words, word)
		}
	}
	return words
}

func isWord(s string) bool {
	return s != "" && len(s) <= maxWord && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}

// AddWords adds to the comma-separated list in a field (lower case) what is not in
// it.
func (h *Header) AddWords(name string, words ...string) {
	var list []string
	if value := h.Get(name); value != "" {
		list = strings.Split(value, ",")
	}
	for _, word := range words {
		if word = strings.TrimSpace(word); word != "" && !slices.Contains(list, word) {
			list = append(list, word)
		}
	}
	if len(list) > 0 {
		h.Set(name, strings.Join(list, ","))
	}
}
