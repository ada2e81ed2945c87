package cache

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// replay tells a stored chat or text completion as an event stream: for each
// choice the role, then its content, then its finish reason; usage when asked
// for; [DONE]. The stored JSON was valid when it was stored.
func replay(e *Entry, wantsUsage bool) []byte {
	p := &player{dst: make([]byte, 0, 2*len(e.JSON)+2048), legacy: e.Endpoint == chat.TextCompletions}
	var choices, usage []byte
	p.head = append(p.head, `data: {"object":"chat.completion.chunk"`...)
	if p.legacy {
		p.head = append(p.head[:0], `data: {"object":"text_completion"`...)
	}
	for name, value := range jsonedit.Members(e.JSON) {
		switch string(name) {
		case "object":
		case "choices":
			choices = value
		case "usage":
			usage = value
		case "id", "created", "model", "system_fingerprint", "service_tier":
			p.head = appendLine(p.head, name, value)
		default:
			p.once = appendLine(p.once, name, value)
		}
	}
	position := 0
	for choice := range jsonedit.Elements(choices) {
		p.choice(position, choice)
		position++
	}
	if wantsUsage && len(usage) > 0 && usage[0] == '{' {
		p.begin()
		p.dst = append(appendRaw(append(p.dst, `],"usage":`...), usage), "}\n\n"...)
	}
	return append(p.dst, "data: [DONE]\n\n"...)
}

// Events tells a whole answer to a streaming request as the events that it would
// have come in. ok is false when it cannot be told: it is no JSON object, an error,
// or lacks a finished choice.
func Events(req *chat.Request, body []byte) (events []byte, ok bool) {
	object, err := jsonedit.Parse(body)
	if err != nil || !replayable(req.Endpoint) {
		return nil, false
	}
	if v, _ := object.Get("error"); !isNull(v) {
		return nil, false
	}
	choices, _ := object.Get("choices")
	if count(choices) == 0 {
		return nil, false
	}
	for v := range jsonedit.Elements(choices) {
		choice, err := jsonedit.Parse(v)
		if err != nil || !replayableChoice(req.Endpoint, choice) {
			return nil, false
		}
	}
	return replay(&Entry{Endpoint: req.Endpoint, JSON: object.Source()}, req.WantsUsage), true
}

// replayableChoice reports whether a choice has a message (or text) and a finish
// reason.
func replayableChoice(endpoint chat.Endpoint, choice *jsonedit.Object) bool {
	content, _ := choice.Get("message")
	kind := jsontext.Kind('{')
	if endpoint == chat.TextCompletions {
		content, _ = choice.Get("text")
		kind = '"'
	}
	reason, _ := choice.Get("finish_reason")
	return content.Kind() == kind && len(reason) > len(`""`) && reason.Kind() == '"'
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

// begin opens a chunk up to its choices.
func (p *player) begin() {
	p.dst = append(p.dst, p.head...)
	if len(p.once) > 0 {
		p.dst = append(append(p.dst, ','), p.once...)
	}
	p.dst = append(p.dst, `,"choices":[`...)
	p.once = nil
}

// choice writes all chunks of one choice.
func (p *player) choice(position int, choice []byte) {
	p.index, p.begun = appendInt(nil, position), false
	var logprobs, text, message []byte
	for name, v := range jsonedit.Members(choice) {
		switch string(name) {
		case "index":
			if len(v) > 0 && v[0] >= '0' && v[0] <= '9' {
				p.index = v
			}
		case "logprobs":
			logprobs = v
		case "text":
			text = v
		case "message":
			message = v
		}
	}
	if p.legacy {
		p.text(text, logprobs)
	} else {
		p.message(message, logprobs)
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
func (p *player) message(message, logprobs []byte) {
	var content, function, calls []byte
	var others []member
	p.role = nil
	for name, v := range jsonedit.Members(message) {
		switch string(name) {
		case "role":
			p.role = v
		case "content":
			content = v
		case "function_call":
			function = v
		case "tool_calls":
			calls = v
		default:
			if !isNull(v) && string(v) != "[]" {
				others = append(others, member{string(name), v})
			}
		}
	}
	if isNull(content) {
		content = []byte("null")
	}
	opening := content
	if content[0] == '"' {
		opening = []byte(`""`)
	}
	p.delta("content", opening, nil)
	for _, m := range others {
		p.delta(m.name, m.value, nil)
	}
	if len(content) != len(opening) || !isNull(logprobs) {
		p.delta("content", content, logprobs)
	}
	if !isNull(function) {
		p.call("function_call", function, nil, nil)
	}
	n := 0
	for call := range jsonedit.Elements(calls) {
		p.toolCall(n, call)
		n++
	}
}

// delta writes a chunk with one member in its delta. A choice's first delta has
// the role.
func (p *player) delta(name string, value, logprobs []byte) {
	p.open()
	p.dst = appendRaw(appendRawName(p.dst, name), value)
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
func (p *player) toolCall(n int, call []byte) {
	kind, function := "function", []byte(nil)
	item := appendMember([]byte{'{'}, "index", appendInt(nil, n))
	bare := len(item)
	for name, v := range jsonedit.Members(call) {
		switch string(name) {
		case "index":
		case "function", "custom":
			kind, function = string(name), v
		default:
			item = appendLine(item, name, v)
		}
	}
	p.call(kind, function, item, item[:bare])
}

// call writes the name and then the arguments of a function, each in a chunk.
// item and again are what stands before it in its tool call, in the first chunk
// and in the second; nil for the legacy function_call.
func (p *player) call(kind string, function, item, again []byte) {
	input, arguments := []byte("arguments"), []byte(nil)
	first := []byte{'{'}
	for name, v := range jsonedit.Members(function) {
		if string(name) == "arguments" || string(name) == "input" {
			input, arguments = name, v
			continue
		}
		first = appendLine(first, name, v)
	}
	p.part(kind, append(appendLine(first, input, []byte(`""`)), '}'), item)
	if !isNull(arguments) && string(arguments) != `""` {
		p.part(kind, append(appendLine([]byte{'{'}, input, arguments), '}'), again)
	}
}

// part writes one chunk of a call.
func (p *player) part(kind string, function, item []byte) {
	p.open()
	if item == nil {
		p.dst = append(jsonedit.AppendName(p.dst, kind), function...)
	} else {
		p.dst = append(jsonedit.AppendName(p.dst, "tool_calls"), '[')
		p.dst = append(p.dst, item...)
		p.dst = append(jsonedit.AppendName(p.dst, kind), function...)
		p.dst = append(p.dst, '}', ']')
	}
	p.dst = append(p.dst, '}')
	p.end(nil)
}

// finish writes the chunk with the finish reason and the choice's other members.
func (p *player) finish(choice []byte) {
	p.begin()
	p.dst = appendMember(append(p.dst, '{'), "index", p.index)
	if p.legacy {
		p.dst = append(p.dst, `,"text":""`...)
	} else {
		p.dst = append(p.dst, `,"delta":{}`...)
	}
	p.dst = append(p.dst, `,"logprobs":null`...)
	for name, v := range jsonedit.Members(choice) {
		switch string(name) {
		case "index", "message", "text", "logprobs":
		default:
			p.dst = appendLine(p.dst, name, v)
		}
	}
	p.dst = append(p.dst, "}]}\n\n"...)
}

// appendLine appends a member whose name is JSON already, in one line.
func appendLine(dst, name, value []byte) []byte {
	dst = append(jsonedit.AppendComma(dst), '"')
	dst = append(append(dst, name...), '"', ':')
	return appendRaw(dst, value)
}

// appendRaw appends JSON to an event's data, which must be one line: between
// tokens a line break is a space, and inside strings there is none.
func appendRaw(dst, value []byte) []byte {
	start := len(dst)
	dst = append(dst, value...)
	if bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 {
		return dst
	}
	for i := start; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
