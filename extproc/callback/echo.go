package callback

import (
	"bytes"
	"strings"
	"unicode"
)

// WithoutEcho takes out of what a sink answered each word that was sent to it. An error
// page may repeat the request, and logs hold neither keys nor prompts: what is left
// is the sink's own. It is for errors alone, which are rare: it looks for each word
// in all that was sent.
func WithoutEcho(text string, sent ...[]byte) string {
	var out strings.Builder
	seen := map[string]bool{} // words, and whether they were sent
	for len(text) > 0 {
		n := strings.IndexFunc(text, isWordPart)
		if n < 0 {
			n = len(text)
		}
		between := text[:n]
		text = text[n:]
		end := strings.IndexFunc(text, func(r rune) bool { return !isWordPart(r) })
		if end < 0 {
			end = len(text)
		}
		word := text[:end]
		text = text[end:]
		out.WriteString(between)
		echo, known := seen[word]
		if !known && word != "" {
			echo = contained(word, sent)
			seen[word] = echo
		}
		if echo {
			word = "…"
		}
		out.WriteString(word)
	}
	return mergeMarks(out.String())
}

func isWordPart(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func contained(word string, in [][]byte) bool {
	for _, text := range in {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return false
}

// mergeMarks replaces marks with only punctuation and spaces between them by one.
func mergeMarks(text string) string {
	const mark = "…"
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, mark)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(mark)
		for {
			next := strings.IndexFunc(after, isWordPart)
			again := strings.Index(after, mark)
			if again < 0 || next >= 0 && next < again {
				break
			}
			after = after[again+len(mark):]
		}
		text = after
	}
}
