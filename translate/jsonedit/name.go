package jsonedit

import (
	"bytes"
	"iter"
)

// Names returns every member name of a JSON text, at any depth and in order, and
// the offset of its value. It is one fast pass that looks at quotes only, for
// those who want to know whether a text holds any of several members: text must
// be valid JSON (of another the pairs mean nothing, and an offset may be the
// text's length), and names come as they are spelt, escapes and all. A name
// inside a string is none.
func Names(text []byte) iter.Seq2[[]byte, int] {
	return func(yield func([]byte, int) bool) {
		for at := 0; ; {
			open := bytes.IndexByte(text[at:], '"')
			if open < 0 {
				return
			}
			open += at + 1
			end := stringEnd(text, open)
			if end < 0 {
				return
			}
			at = end + 1
			colon := skipSpace(text, at)
			if colon == len(text) || text[colon] != ':' {
				continue
			}
			at = skipSpace(text, colon+1)
			if !yield(text[open:end], at) {
				return
			}
		}
	}
}

// stringEnd returns the offset of the quote that ends the string whose content
// begins at from, or -1.
func stringEnd(text []byte, from int) int {
	for i := from; ; i++ {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		run := i // of backslashes before the quote: an odd one escapes it
		for run > from && text[run-1] == '\\' {
			run--
		}
		if (i-run)%2 == 0 {
			return i
		}
	}
}
