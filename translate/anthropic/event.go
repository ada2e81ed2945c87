package anthropic

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// maxOpen bounds the blocks that a provider may have begun and not ended.
const maxOpen = 64

// event is one event of a stream, of any type.
// https://platform.claude.com/docs/en/build-with-claude/streaming#event-types
type event struct {
	Type    string         `json:"type"`
	Index   int            `json:"index"`
	Message message        `json:"message"`
	Block   block          `json:"content_block"`
	Delta   delta          `json:"delta"`
	Usage   usage          `json:"usage"`
	Error   jsontext.Value `json:"error"`
}

type delta struct {
	Type        string         `json:"type"`
	Text        string         `json:"text"`
	PartialJSON string         `json:"partial_json"`
	Thinking    string         `json:"thinking"`
	Signature   string         `json:"signature"`
	Citation    jsontext.Value `json:"citation"`
	StopReason  string         `json:"stop_reason"` // message_delta
}

// read takes in the data of one event.
func (d *decoder) read(data []byte) {
	d.event = event{}
	e := &d.event
	if err := upstream.Unmarshal(data, e); err != nil {
		d.w.Fail(chat.Unreadable())
		return
	}
	switch e.Type {
	case "message_start":
		d.head(&e.Message)
		e.Message.Usage.Output = nil // of the answer's first token, whatever follows
		d.count(&e.Message.Usage)
	case "content_block_start":
		d.start(&e.Block, e.Index)
	case "content_block_delta":
		d.grow(&e.Delta, e.Index)
	case "content_block_stop":
		d.stop(e.Index)
	case "message_delta":
		if e.Delta.StopReason != "" {
			d.finish(e.Delta.StopReason)
			d.stopped = true
			d.report()
		}
		d.count(&e.Usage)
	case "message_stop":
		for len(d.open) > 0 {
			d.stop(d.open[0].index)
		}
		d.w.Close()
	case "error":
		d.w.Fail(streamed(data))
	default: // ping, and what is yet to come
		if isFailure(e.Error) {
			d.w.Fail(streamed(data))
		}
	}
}

// start begins a block. What it has already is as good as a first delta.
func (d *decoder) start(b *block, index int) {
	if len(d.open) >= maxOpen {
		return
	}
	b.index = index
	switch b.Type {
	case "text":
		d.w.Text(0, b.Text)
	case "thinking":
		d.w.Reasoning(0, b.Thinking)
		b.thought = append(b.thought, b.Thinking...)
	case "redacted_thinking":
	case "tool_use":
		d.call(b)
	default:
		extra := extras{}
		extra.add(b)
		d.extra(&extra)
		return
	}
	d.open = append(d.open, *b)
}

// find returns the open block of an index, or nil.
func (d *decoder) find(index int) *block {
	for i := range d.open {
		if d.open[i].index == index {
			return &d.open[i]
		}
	}
	return nil
}

// grow adds to a block.
func (d *decoder) grow(delta *delta, index int) {
	b := d.find(index)
	if b == nil {
		return
	}
	d.uncounted = true
	switch delta.Type {
	case "text_delta":
		d.w.Text(0, delta.Text)
	case "thinking_delta":
		d.w.Reasoning(0, delta.Thinking)
		b.thought = append(b.thought, delta.Thinking...)
	case "signature_delta":
		b.Signature += delta.Signature
	case "input_json_delta":
		if b.Type == "tool_use" && delta.PartialJSON != "" {
			b.argument = true
			d.reportInput(b, delta.PartialJSON)
		}
	case "citations_delta":
		if delta.Citation.IsValid() {
			d.extra(&extras{citations: delta.Citation})
		}
	}
}

// stop ends a block.
func (d *decoder) stop(index int) {
	b := d.find(index)
	if b == nil {
		return
	}
	switch b.Type {
	case "thinking", "redacted_thinking":
		b.Thinking = string(b.thought)
		d.keep(b)
	case "tool_use":
		if !b.argument {
			d.reportInput(b, argumentsOf(b.Input))
		}
	}
	d.open = slices.DeleteFunc(d.open, func(o block) bool { return o.index == index })
}

// extra reports one citation or block of a stream.
func (d *decoder) extra(x *extras) {
	x.citations = numbered(x.citations, &d.citations)
	x.blocks = numbered(x.blocks, &d.blocks)
	if value := x.value(); value != nil {
		d.w.Extra(0, "provider_specific_fields", value)
	}
}

// numbered gives an object its index, as in OpenAI's own lists: clients gather
// them by it.
func numbered(item []byte, n *int) []byte {
	if len(item) == 0 || item[0] != '{' {
		return item
	}
	out := jsonedit.AppendName(append([]byte(nil), item[:len(item)-1]...), "index")
	out = append(strconv.AppendInt(out, int64(*n), 10), '}')
	*n++
	return out
}

// extras gathers what OpenAI has no place for: citations, and the calls and
// results of the tools that run at Anthropic. Both are the insides of arrays.
// Answers are read leniently; what is no strict JSON is left out.
type extras struct{ citations, blocks []byte }

// addCitations adds the citations of a text block: an array or null.
func (x *extras) addCitations(citations jsontext.Value) {
	if citations.Kind() != '[' || !citations.IsValid() {
		return
	}
	if inside := bytes.TrimSpace(citations[1 : len(citations)-1]); len(inside) > 0 {
		if len(x.citations) > 0 {
			x.citations = append(x.citations, ',')
		}
		x.citations = append(x.citations, inside...)
	}
}

// add adds a block of another type.
func (x *extras) add(b *block) {
	if len(x.blocks) > 0 {
		x.blocks = append(x.blocks, ',')
	}
	x.blocks = jsonedit.AppendString(append(x.blocks, `{"type":`...), b.Type)
	for _, f := range [...]struct{ name, value string }{{"id", b.ID}, {"tool_use_id", b.ToolUseID}, {"name", b.Name}} {
		if f.value != "" {
			x.blocks = jsonedit.AppendString(jsonedit.AppendName(x.blocks, f.name), f.value)
		}
	}
	if b.Input.IsValid() {
		x.blocks = jsonedit.AppendMember(x.blocks, "input", b.Input)
	}
	if b.Content.IsValid() {
		x.blocks = jsonedit.AppendMember(x.blocks, "content", b.Content)
	}
	x.blocks = append(x.blocks, '}')
}

// value returns provider_specific_fields, nil when there is nothing to tell.
func (x *extras) value() jsontext.Value {
	if len(x.citations) == 0 && len(x.blocks) == 0 {
		return nil
	}
	out := []byte{'{'}
	if len(x.citations) > 0 {
		out = append(append(append(jsonedit.AppendName(out, "citations"), '['), x.citations...), ']')
	}
	if len(x.blocks) > 0 {
		out = append(append(append(jsonedit.AppendName(out, "blocks"), '['), x.blocks...), ']')
	}
	return append(out, '}')
}
