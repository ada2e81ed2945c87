package ollama

import "strings"

const (
	thinkOpen  = "<think>"
	thinkClose = "</think>"
)

// tags parts what a model thinks from what it says where the server has not done
// so: old templates leave the thinking at the start of the content, between
// <think> and </think>. The zero value is ready; a text without the tags passes
// at once.
type tags struct {
	state tagState
	held  string // may be the beginning of a tag
}

type tagState uint8

const (
	before  tagState = iota // only white space so far
	inside                  // after <think>
	outside                 // nothing more to part
)

// split takes the next part of the content; last releases what was held back.
func (t *tags) split(text string, last bool) (thought, answer string) {
	text = t.held + text
	t.held = ""
	if t.state == before {
		trimmed := strings.TrimLeft(text, " \t\r\n")
		rest, found := strings.CutPrefix(trimmed, thinkOpen)
		switch {
		case found:
			t.state, text = inside, rest
		case !last && strings.HasPrefix(thinkOpen, trimmed):
			t.held = text
			return "", ""
		default:
			t.state = outside
		}
	}
	if t.state == outside {
		return "", text
	}
	thought, answer, found := strings.Cut(text, thinkClose)
	if found {
		t.state = outside
		return thought, answer
	}
	if !last {
		keep := beginsAtEnd(text, thinkClose)
		t.held = text[len(text)-keep:]
		thought = text[:len(text)-keep]
	}
	return thought, ""
}

// beginsAtEnd returns how many bytes at the end of text may begin the tag.
func beginsAtEnd(text, tag string) int {
	for n := min(len(text), len(tag)-1); n > 0; n-- {
		if strings.HasSuffix(text, tag[:n]) {
			return n
		}
	}
	return 0
}
