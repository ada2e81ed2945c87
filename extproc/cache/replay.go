package cache

import (
	"strconv"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// replay tells a stored chat or text completion as an event stream: for each
// choice the role, then its content, then its finish reason; usage when asked
// for; [DONE]. The stored JSON is valid.
func replay(e *Entry, wantsUsage bool) []byte {
	object, err := jsonedit.Parse(e.JSON)
	if err != nil {
		return nil
	}
	p := &player{dst: make([]byte, 0, len(e.JSON)+2048), legacy: e.Endpoint == chat.TextCompletions}
	p.readHead(object)
	choices, _ := object.Get("choices")
	s := scanner{src: choices}
	if s.kind() == '[' {
		index := 0
		for s.open(); s.more(); index++ {
			p.choice(index, s.value())
		}
	}
	if usage, ok := object.Get("usage"); ok && wantsUsage && usage.Kind() == '{' {
		p.begin()
		p.dst = append(p.dst, `],"usage":`...)
		p.dst = append(appendRaw(p.dst, usage), "}\n\n"...)
	}
	return append(p.dst, "data: [DONE]\n\n"...)
}

// player writes the chunks of one answer.
type player struct {
	dst    []byte
	legacy bool
	head   []byte // what each chunk begins with, up to its choices
	once   []byte // other members of the answer, for the first chunk
	index  []byte // of the choice at hand
	begun  bool   // the choice's first delta has been written
	role   []byte
}

func (p *player) readHead(object *jsonedit.Object) {
	kind := `{"object":"chat.completion.chunk"`
	if p.legacy {
		kind = `{"object":"text_completion"`
	}
	p.head = append(append(p.head, "data: "...), kind...)
	for _, m := range object.Members() {
		v := object.Value(m)
		switch m.Name {
		case "object", "choices", "usage":
		case "id", "created", "model", "system_fingerprint", "service_tier":
			p.head = appendRaw(jsonedit.AppendName(p.head, m.Name), v)
		default:
			p.once = appendRaw(append(jsonedit.AppendString(append(p.once, ','), m.Name), ':'), v)
		}
	}
}

// begin opens a chunk up to its choices.
func (p *player) begin() {
	p.dst = append(append(p.dst, p.head...), p.once...)
	p.dst = append(p.dst, `,"choices":[`...)
	p.once = nil
}

// choice writes all chunks of one choice.
func (p *player) choice(position int, value []byte) {
	choice, err := jsonedit.Parse(value)
	if err != nil {
		return
	}
	p.index, p.begun = appendInt(nil, position), false
	if v, ok := choice.Get("index"); ok && v.Kind() == '0' {
		p.index = v
	}
	logprobs, _ := choice.Get("logprobs")
	if p.legacy {
		text, _ := choice.Get("text")
		p.text(text, logprobs)
	} else {
		v, _ := choice.Get("message")
		if message, err := jsonedit.Parse(v); err == nil {
			p.message(message, logprobs)
		}
	}
	p.finish(choice)
}

// text writes a chunk of a legacy completion.
func (p *player) text(text, logprobs []byte) {
	p.begin()
	p.dst = appendMember(append(p.dst, '{'), "index", p.index)
	p.dst = appendMember(p.dst, "text", text)
	p.end(logprobs)
}

// message writes the deltas of a message: first the role, then reasoning before
// what it led to, then the tool calls.
func (p *player) message(message *jsonedit.Object, logprobs []byte) {
	p.role, _ = message.Get("role")
	content, _ := message.Get("content")
	if content.Kind() == '"' {
		p.delta("content", []byte(`""`), nil)
	} else {
		p.delta("content", []byte("null"), nil)
	}
	for _, m := range message.Members() {
		v := message.Value(m)
		switch m.Name {
		case "role", "content", "tool_calls", "function_call":
		default:
			if !isNull(v) && string(v) != "[]" {
				p.delta(m.Name, v, nil)
			}
		}
	}
	if !isNull(content) && string(content) != `""` || !isNull(logprobs) {
		p.delta("content", content, logprobs)
	}
	if call, _ := message.Get("function_call"); !isNull(call) {
		p.call("function_call", call, nil)
	}
	calls, _ := message.Get("tool_calls")
	s := scanner{src: calls}
	if s.kind() == '[' {
		n := 0
		for s.open(); s.more(); n++ {
			p.toolCall(n, s.value())
		}
	}
}

// delta writes a chunk with one member in its delta. A choice's first delta has
// the role.
func (p *player) delta(name string, value, logprobs []byte) {
	p.open()
	p.dst = appendRaw(jsonedit.AppendName(p.dst, name), value)
	p.dst = append(p.dst, '}')
	p.end(logprobs)
}

// open begins a chunk up to the inside of its delta.
func (p *player) open() {
	p.begin()
	p.dst = appendMember(append(p.dst, '{'), "index", p.index)
	p.dst = append(p.dst, `,"delta":{`...)
	if !p.begun {
		p.begun = true
		role := p.role
		if isNull(role) {
			role = []byte(`"assistant"`)
		}
		p.dst = appendMember(p.dst, "role", role)
	}
}

func (p *player) end(logprobs []byte) {
	if isNull(logprobs) {
		logprobs = []byte("null")
	}
	p.dst = appendRaw(append(p.dst, `,"logprobs":`...), logprobs)
	p.dst = append(p.dst, ",\"finish_reason\":null}]}\n\n"...)
}

// toolCall writes a call as OpenAI does: id, type and name first, then the
// arguments.
func (p *player) toolCall(n int, value []byte) {
	call, err := jsonedit.Parse(value)
	if err != nil {
		return
	}
	first := appendMember([]byte{'{'}, "index", appendInt(nil, n))
	kind := "function"
	var inner []byte
	for _, m := range call.Members() {
		switch v := call.Value(m); m.Name {
		case "index":
		case "function", "custom":
			kind, inner = m.Name, v
		default:
			first = appendRaw(jsonedit.AppendName(first, m.Name), v)
		}
	}
	p.call(kind, inner, first)
}

// call writes the name and then the arguments of a function. item is the tool
// call it belongs to, without its end; nil for the legacy function_call.
func (p *player) call(kind string, function, item []byte) {
	object, err := jsonedit.Parse(function)
	if err != nil {
		return
	}
	input := "arguments"
	if kind == "custom" {
		input = "input"
	}
	arguments, _ := object.Get(input)
	if isNull(arguments) {
		arguments = []byte(`""`)
	}
	var empty jsonedit.Edits
	empty.Set(input, []byte(`""`))
	p.part(kind, object.Apply(&empty), item)
	if string(arguments) == `""` {
		return
	}
	var again []byte
	if item != nil {
		s := scanner{src: item}
		s.open()
		s.name()
		again = appendMember([]byte{'{'}, "index", s.value())
	}
	p.part(kind, append(appendRaw(jsonedit.AppendName([]byte{'{'}, input), arguments), '}'), again)
}

func (p *player) part(kind string, function, item []byte) {
	p.open()
	if item == nil {
		p.dst = appendRaw(jsonedit.AppendName(p.dst, kind), function)
	} else {
		p.dst = append(jsonedit.AppendName(p.dst, "tool_calls"), '[')
		p.dst = append(p.dst, item...)
		p.dst = appendRaw(jsonedit.AppendName(p.dst, kind), function)
		p.dst = append(p.dst, '}', ']')
	}
	p.dst = append(p.dst, '}')
	p.end(nil)
}

// finish writes the chunk with the finish reason and the choice's other members.
func (p *player) finish(choice *jsonedit.Object) {
	p.begin()
	p.dst = appendMember(append(p.dst, '{'), "index", p.index)
	if p.legacy {
		p.dst = append(p.dst, `,"text":""`...)
	} else {
		p.dst = append(p.dst, `,"delta":{}`...)
	}
	p.dst = append(p.dst, `,"logprobs":null`...)
	for _, m := range choice.Members() {
		switch m.Name {
		case "index", "message", "text", "logprobs":
		default:
			p.dst = appendRaw(jsonedit.AppendName(p.dst, m.Name), choice.Value(m))
		}
	}
	p.dst = append(p.dst, "}]}\n\n"...)
}

// appendRaw appends JSON to an event's data, which must be one line: between
// tokens a line break is a space, and inside strings there is none.
func appendRaw(dst, value []byte) []byte {
	start := len(dst)
	dst = append(dst, value...)
	for i := start; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
