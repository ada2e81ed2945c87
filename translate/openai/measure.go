package openai

import (
	"bytes"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// places are the offsets of values in one chunk of a stream, of the first member
// with each name; 0 where there is none. They are found by one look at its names.
type places struct {
	finish, failure, object, usage, filter int
	texts                                  [5]int // in the order in which they are looked at
}

func placesIn(chunk []byte) (p places) {
	for name, at := range jsonedit.Names(chunk) {
		place := p.of(name)
		if place != nil && *place == 0 {
			*place = at
		}
	}
	return p
}

// of returns the place of the named member, or nil.
func (p *places) of(name []byte) *int {
	switch string(name) {
	case "finish_reason":
		return &p.finish
	case "error":
		return &p.failure
	case "object":
		return &p.object
	case "usage":
		return &p.usage
	case "prompt_filter_results":
		return &p.filter
	case "content":
		return &p.texts[0]
	case "arguments":
		return &p.texts[1]
	case "reasoning_content":
		return &p.texts[2]
	case "text":
		return &p.texts[3]
	case "reasoning":
		return &p.texts[4]
	}
	return nil
}

// startsWith reports whether a value in a chunk is there and begins like that.
func startsWith(chunk []byte, place int, prefix string) bool {
	return place > 0 && bytes.HasPrefix(chunk[place:], []byte(prefix))
}

// measure notes the text of one chunk of a stream: the first of texts that says
// something. Chunks carry one kind of text each.
func (p *places) measure(m *chat.Meter, chunk []byte) {
	for _, at := range p.texts {
		if startsWith(chunk, at, `"`) && measureText(m, chunk, at) {
			return
		}
	}
}

// measureText notes the string at this place and reports whether it says something.
func measureText(m *chat.Meter, text []byte, at int) bool {
	s := jsonedit.NewCursor(text, at)
	inside := s.Text()
	if len(inside) == 0 {
		return false
	}
	if bytes.IndexByte(inside, '\\') >= 0 {
		inside = jsonedit.AppendUnescaped(nil, inside)
	}
	m.Add(string(inside))
	return true
}
