package cache

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
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
	last *text // the text it added to, and
	from int   // where in the chunk what it added begins,
	to   int   // and ends
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
	s := jsonedit.NewCursor(data, len(a.before)-1) // before the text's first quote
	piece := s.Text()
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
	after := data[f.to:]
	a := &f.like
	a.to, a.before, a.padded = f.last, append(a.before[:0], data[:f.from]...), nil
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
	s := jsonedit.NewCursor(data, 0)
	if s.Kind() != '{' {
		f.why = "an event is no object"
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		switch name := s.Name(); string(name) {
		case "choices":
			f.choicesOf(&s)
		case "usage":
			if value := s.Value(); !isNull(value) {
				f.usage = append(f.usage[:0], value...)
			}
		case "error":
			if !isNull(s.Value()) {
				f.why = "an error in the stream"
			}
		case "object", "obfuscation", "x_groq":
			s.Value()
		default:
			f.set(&f.head, name, s.Value())
		}
	}
}

func (f *folder) choicesOf(s *jsonedit.Cursor) {
	if s.Kind() != '[' {
		s.Value()
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		f.choice(s)
	}
}

func (f *folder) choice(s *jsonedit.Cursor) {
	c := f.choiceAt(*s)
	if c == nil {
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		switch name := s.Name(); string(name) {
		case "index", "message": // Perplexity repeats the whole message in each chunk
			s.Value()
		case "delta":
			f.delta(c, s)
		case "text":
			f.add(&c.texts, "text", s)
		case "logprobs":
			f.logprobs(c, s)
		case "finish_reason":
			if value := s.Value(); !isNull(value) {
				c.finish = bytes.Clone(value)
			}
		case "content_filter_results": // Azure: of this chunk alone
			f.set(&c.extra, name, s.Value())
		default:
			f.once(&c.extra, name, s.Value())
		}
	}
}

// choiceAt is the choice of the object that the cursor stands before; nil: why says
// what is wrong with it.
func (f *folder) choiceAt(object jsonedit.Cursor) *choice {
	if object.Kind() != '{' {
		f.why = "a choice is no object"
		return nil
	}
	index, ok := indexOf(object)
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

// indexOf returns the index member of the object that the cursor stands before.
func indexOf(object jsonedit.Cursor) (int, bool) {
	for object.Open(); object.More(); {
		if name, value := object.Name(), object.Value(); string(name) == "index" {
			n, err := strconv.Atoi(string(value))
			return n, err == nil
		}
	}
	return 0, false
}

func (f *folder) delta(c *choice, s *jsonedit.Cursor) {
	if s.Kind() != '{' {
		s.Value()
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		name := s.Name()
		if s.Kind() == 'n' {
			s.Value()
			continue
		}
		switch string(name) {
		case "role":
			c.role = f.keep(c.role, s.Value())
		case "content", "refusal", "reasoning_content", "reasoning":
			f.add(&c.texts, string(name), s)
		case "thinking_blocks", "annotations", "images", "reasoning_details":
			f.extend(&c.lists, name, s.Value())
		case "tool_calls":
			f.toolCalls(c, s)
		case "function_call":
			if c.function == nil {
				c.function = &toolCall{}
			}
			f.function(c.function, s)
		default:
			f.once(&c.message, name, s.Value())
		}
	}
}

func (f *folder) toolCalls(c *choice, s *jsonedit.Cursor) {
	if s.Kind() != '[' {
		f.why = "tool_calls is no list"
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		if s.Kind() != '{' {
			f.why = "a tool call is no object"
			return
		}
		index, ok := indexOf(*s)
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
		f.toolCall(c.calls[index], s)
	}
}

func (f *folder) toolCall(t *toolCall, s *jsonedit.Cursor) {
	for s.Open(); f.why == "" && s.More(); {
		name := s.Name()
		if s.Kind() == 'n' {
			s.Value()
			continue
		}
		switch string(name) {
		case "index":
			s.Value()
		case "id":
			t.id = f.keep(t.id, s.Value())
		case "type":
			t.kind = f.keep(t.kind, s.Value())
		case "function", "custom":
			f.function(t, s)
		default:
			f.once(&t.extra, name, s.Value())
		}
	}
}

// function reads a function's name and arguments, or a custom tool's input.
func (f *folder) function(t *toolCall, s *jsonedit.Cursor) {
	if s.Kind() != '{' {
		f.why = "a call is no object"
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		name := s.Name()
		if s.Kind() == 'n' {
			s.Value()
			continue
		}
		switch string(name) {
		case "name":
			t.name = f.keep(t.name, s.Value())
		case "arguments", "input":
			t.arguments.name = string(name)
			f.addTo(&t.arguments, s)
		default:
			f.why = "a call with members of its own"
		}
	}
}
