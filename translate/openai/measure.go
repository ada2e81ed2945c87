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
	content, call, arguments, refusal      int // call is the name of a function
	thought, reasoning, text, delta        int // reasoning is another name of the same text
	several                                bool
}

func placesIn(chunk []byte) (p places) {
	for name, at := range jsonedit.Names(chunk) {
		switch place := p.of(name); {
		case place == nil:
		case *place == 0:
			*place = at
		case place == &p.delta, place == &p.arguments, place == &p.text:
			p.several = true // choices, or calls, of one chunk
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
	case "delta":
		return &p.delta
	case "content":
		return &p.content
	case "name":
		return &p.call
	case "arguments":
		return &p.arguments
	case "refusal":
		return &p.refusal
	case "reasoning_content":
		return &p.thought
	case "reasoning":
		return &p.reasoning
	case "text":
		return &p.text
	}
	return nil
}

// startsWith reports whether a value in a chunk is there and begins like that.
func startsWith(chunk []byte, place int, prefix string) bool {
	return place > 0 && bytes.HasPrefix(chunk[place:], []byte(prefix))
}

// measure notes the text of one chunk of a stream.
func (p *places) measure(m *chat.Meter, chunk []byte) {
	if p.several {
		for choice := range jsonedit.Elements(choicesOf(chunk)) {
			measureChoice(m, choice)
		}
		return
	}
	measured := measureText(m, chunk, p.content)
	if p.arguments > 0 {
		measured = measureText(m, chunk, p.call) || measured
		measured = measureText(m, chunk, p.arguments) || measured
	}
	measured = measureText(m, chunk, p.refusal) || measured
	measured = measureText(m, chunk, p.thought) || measureText(m, chunk, p.reasoning) || measured
	if !measured { // else it repeats that text, or describes it
		measureText(m, chunk, p.text)
	}
}

// measureText notes the string at this place, if there is one, and reports whether it
// is not empty.
func measureText(m *chat.Meter, text []byte, at int) bool {
	if !startsWith(text, at, `"`) {
		return false
	}
	s := jsonedit.NewCursor(text, at)
	return measureInside(m, s.Text())
}

// measureInside notes a string of which this is the inside, escapes and all.
func measureInside(m *chat.Meter, inside []byte) bool {
	if len(inside) == 0 {
		return false
	}
	if bytes.IndexByte(inside, '\\') >= 0 {
		inside = jsonedit.AppendUnescaped(nil, inside)
	}
	m.Add(string(inside))
	return true
}

// measureString notes a value, if it is a string.
func measureString(m *chat.Meter, value []byte) bool {
	return len(value) > 1 && value[0] == '"' && measureInside(m, value[1:len(value)-1])
}

// measureAnswer notes the text of a whole answer.
func measureAnswer(m *chat.Meter, answer []byte) {
	for name, value := range jsonedit.Members(answer) {
		switch string(name) {
		case "choices":
			for choice := range jsonedit.Elements(value) {
				measureChoice(m, choice)
			}
		case "output":
			for item := range jsonedit.Elements(value) {
				measureItem(m, item)
			}
		}
	}
}

// measureChoice notes the text of one choice, or of what a chunk adds to it.
func measureChoice(m *chat.Meter, choice []byte) {
	for name, value := range jsonedit.Members(choice) {
		switch string(name) {
		case "text":
			measureString(m, value)
		case "delta", "message":
			measureMessage(m, value)
		}
	}
}

func measureMessage(m *chat.Meter, message []byte) {
	thought := false
	for name, value := range jsonedit.Members(message) {
		switch string(name) {
		case "content":
			if !measureString(m, value) {
				measureNamed(m, value, "text")
			}
		case "refusal":
			measureString(m, value)
		case "reasoning_content", "reasoning":
			thought = thought || measureString(m, value)
		case "tool_calls", "function_call":
			measureNamed(m, value, "name", "arguments")
		}
	}
}

// measureItem notes the text of an output item of the Responses API.
func measureItem(m *chat.Meter, item []byte) {
	for name, value := range jsonedit.Members(item) {
		switch string(name) {
		case "content", "summary":
			measureNamed(m, value, "text", "refusal")
		case "name", "arguments", "input":
			measureString(m, value)
		}
	}
}

// measureNamed notes all strings in a value that have one of these names.
func measureNamed(m *chat.Meter, value []byte, names ...string) {
	for name, at := range jsonedit.Names(value) {
		for _, wanted := range names {
			if string(name) == wanted {
				measureText(m, value, at)
			}
		}
	}
}
