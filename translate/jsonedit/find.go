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

// Find returns the offset of the value of the first member with this name, at
// any depth, or -1. It looks at bytes only: text must be valid JSON and the name
// must not need escapes. A name inside a string never matches, for its quotes
// are escaped there.
func Find(text []byte, name string) int {
	quoted := make([]byte, 0, 64)
	quoted = append(append(append(quoted, '"'), name...), '"')
	for at := 0; ; {
		i := bytes.Index(text[at:], quoted)
		if i < 0 {
			return -1
		}
		i += at
		at = i + len(quoted)
		value := skipSpace(text, at)
		if value < len(text) && text[value] == ':' && (i == 0 || text[i-1] != '\\') {
			return skipSpace(text, value+1)
		}
	}
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}
