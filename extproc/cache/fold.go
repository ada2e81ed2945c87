package cache

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// folder makes one blocking answer of the chunks of a stream. Text stays in the
// escaped form it came in: a character whose halves came in two chunks is whole
// again when they are joined. What it does not know how to join it does not
// guess: why then says so, and the stream is not stored.
type folder struct {
	legacy  bool
	head    []member // top-level members, the last value of each
	usage   []byte
	choices []*choice
	done    bool  // [DONE] came
	size    int64 // bytes held
	why     Unstorable

	like alike // the last chunk that only added text
	adds int   // what the chunk at hand added, besides repeating
	last *text // the text it added to
	// piece is what was added to last, as it stands in the chunk.
	piece []byte
}

// alike is a chunk whose only news was the end of one text. The next chunk with
// the same bytes around its text (most of a stream) needs no parsing. OpenAI
// pads each chunk with a member of random length, obfuscation: its value stands
// between after and padded, which is nil when there is none.
type alike struct {
	before, after, padded []byte
	to                    *text
}

// member is one member of an object; name and value are JSON, the name without
// its quotes.
type member struct {
	name  string
	value []byte
}

// text is a string that comes in pieces.
type text struct {
	name    string
	escaped []byte
}

// list is an array whose elements come in pieces.
type list struct {
	name  string
	items []byte // comma separated
}

type choice struct {
	role     []byte
	texts    []*text // content, refusal, reasoning_content …
	lists    []*list // thinking_blocks, annotations …
	logprobs []*list
	calls    []*toolCall
	function *toolCall // the legacy function_call
	message  []member  // other members of the deltas
	extra    []member  // other members of the choice
	finish   []byte
}

type toolCall struct {
	id, kind, name []byte
	arguments      text // or the input of a custom tool
	extra          []member
}

// maxChoices bounds the choices and the tool calls of a choice.
const maxChoices = 128

// event reads the data of one event.
func (f *folder) event(data []byte) {
	switch {
	case f.why != "" || len(data) == 0:
		return
	case f.done:
		f.why = "more after [DONE]"
		return
	case string(data) == "[DONE]":
		f.done = true
		return
	case f.again(data):
		return
	}
	if !jsontext.Value(data).IsValid(jsontext.AllowInvalidUTF8(true)) {
		f.why = "an event is no JSON"
		return
	}
	f.adds, f.last = 0, nil
	f.chunk(data)
	f.remember(data)
}

// again folds a chunk that is like the one before it.
func (f *folder) again(data []byte) bool {
	a := &f.like
	if a.to == nil || !bytes.HasPrefix(data, a.before) {
		return false
	}
	s := scanner{src: data, at: len(a.before) - 1}
	piece, _ := s.text()
	rest := data[len(a.before)+len(piece):]
	if !bytes.HasPrefix(rest, a.after) {
		return false
	}
	rest = rest[len(a.after):]
	if a.padded != nil {
		rest = rest[max(bytes.IndexAny(rest, "\"\\"), 0):]
	}
	if !bytes.Equal(rest, a.padded) {
		return false
	}
	a.to.escaped = append(a.to.escaped, piece...)
	f.size += int64(len(piece))
	return true
}

// remember keeps the chunk as a pattern if one piece of text was all its news.
func (f *folder) remember(data []byte) {
	f.like.to = nil
	if f.why != "" || f.adds != 1 || f.last == nil {
		return
	}
	// The piece is a part of data: what their capacities differ by is its place.
	from := cap(data) - cap(f.piece)
	after := data[from+len(f.piece):]
	a := &f.like
	a.to, a.before, a.padded = f.last, append(a.before[:0], data[:from]...), nil
	if i := bytes.Index(after, []byte(padding)); i >= 0 {
		i += len(padding)
		if end := bytes.IndexAny(after[i:], "\"\\"); end >= 0 && after[i+end] == '"' {
			a.padded = bytes.Clone(after[i+end:])
			after = after[:i]
		}
	}
	a.after = append(a.after[:0], after...)
}

// padding begins the member that OpenAI pads chunks with.
const padding = `,"obfuscation":"`

func (f *folder) chunk(data []byte) {
	s := scanner{src: data}
	if s.kind() != '{' {
		f.why = "an event is no object"
		return
	}
	for s.open(); s.more(); {
		name, value := s.name(), s.value()
		switch string(name) {
		case "choices":
			f.choicesOf(value)
		case "usage":
			if !isNull(value) {
				f.usage = append(f.usage[:0], value...)
			}
		case "error":
			if !isNull(value) {
				f.why = "an error in the stream"
			}
		case "object", "obfuscation", "x_groq":
		default:
			f.set(&f.head, name, value)
		}
	}
}

func (f *folder) choicesOf(value []byte) {
	s := scanner{src: value}
	if s.kind() != '[' {
		return
	}
	for s.open(); s.more() && f.why == ""; {
		f.choice(s.value())
	}
}

func (f *folder) choice(value []byte) {
	c := f.choiceAt(value)
	if c == nil {
		return
	}
	s := scanner{src: value}
	for s.open(); s.more(); {
		name, value := s.name(), s.value()
		switch string(name) {
		case "index", "message": // Perplexity repeats the whole message in each chunk
		case "delta":
			f.delta(c, value)
		case "text":
			f.add(&c.texts, "text", value)
		case "logprobs":
			f.logprobs(c, value)
		case "finish_reason":
			if !isNull(value) {
				c.finish = bytes.Clone(value)
			}
		case "content_filter_results": // Azure: of this chunk alone
			f.set(&c.extra, name, value)
		default:
			f.once(&c.extra, name, value)
		}
	}
}

func (f *folder) choiceAt(value []byte) *choice {
	if len(value) == 0 || value[0] != '{' {
		f.why = "a choice is no object"
		return nil
	}
	index, ok := indexOf(value)
	if !ok {
		index = 0
	}
	if index < 0 || index >= maxChoices {
		f.why = "too many choices"
		return nil
	}
	for len(f.choices) <= index {
		f.choices = append(f.choices, &choice{})
	}
	return f.choices[index]
}

// indexOf returns the index member of an object.
func indexOf(object []byte) (int, bool) {
	s := scanner{src: object}
	for s.open(); s.more(); {
		if name, value := s.name(), s.value(); string(name) == "index" {
			n, err := strconv.Atoi(string(value))
			return n, err == nil
		}
	}
	return 0, false
}

func (f *folder) delta(c *choice, value []byte) {
	s := scanner{src: value}
	if s.kind() != '{' {
		return
	}
	for s.open(); s.more(); {
		name, value := s.name(), s.value()
		if isNull(value) {
			continue
		}
		switch string(name) {
		case "role":
			c.role = f.keep(c.role, value)
		case "content", "refusal", "reasoning_content", "reasoning":
			f.add(&c.texts, string(name), value)
		case "thinking_blocks", "annotations", "images", "reasoning_details":
			f.extend(&c.lists, name, value)
		case "tool_calls":
			f.toolCalls(c, value)
		case "function_call":
			if c.function == nil {
				c.function = &toolCall{}
			}
			f.function(c.function, value)
		default:
			f.once(&c.message, name, value)
		}
	}
}

func (f *folder) toolCalls(c *choice, value []byte) {
	s := scanner{src: value}
	if s.kind() != '[' {
		f.why = "tool_calls is no list"
		return
	}
	for s.open(); s.more() && f.why == ""; {
		call := s.value()
		index, ok := indexOf(call)
		if !ok {
			index = max(len(c.calls)-1, 0)
		}
		if index < 0 || index >= maxChoices || index > len(c.calls) {
			f.why = "tool calls out of order"
			return
		}
		if index == len(c.calls) {
			c.calls = append(c.calls, &toolCall{})
		}
		f.toolCall(c.calls[index], call)
	}
}

func (f *folder) toolCall(t *toolCall, value []byte) {
	s := scanner{src: value}
	for s.open(); s.more(); {
		name, value := s.name(), s.value()
		if isNull(value) {
			continue
		}
		switch string(name) {
		case "index":
		case "id":
			t.id = f.keep(t.id, value)
		case "type":
			t.kind = f.keep(t.kind, value)
		case "function", "custom":
			f.function(t, value)
		default:
			f.once(&t.extra, name, value)
		}
	}
}

// function reads a function's name and arguments, or a custom tool's input.
func (f *folder) function(t *toolCall, value []byte) {
	s := scanner{src: value}
	if s.kind() != '{' {
		f.why = "a call is no object"
		return
	}
	for s.open(); s.more(); {
		name, value := s.name(), s.value()
		switch string(name) {
		case "name":
			t.name = f.keep(t.name, value)
		case "arguments", "input":
			if !isNull(value) {
				t.arguments.name = string(name)
				f.addTo(&t.arguments, value)
			}
		default:
			if !isNull(value) {
				f.why = "a call with members of its own"
			}
		}
	}
}
