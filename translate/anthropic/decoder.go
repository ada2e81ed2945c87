package anthropic

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Decoder reads the answer to a call of Request.
func (tr *Translator) Decoder(req *chat.Request, head upstream.Head) chat.Decoder {
	d := &decoder{tr: tr, req: req, w: chat.NewWriter(req)}
	if req.Stream && !strings.HasPrefix(head.Header.Get("content-type"), "application/json") {
		d.Feeder = chat.NewFeeder(d.w, chat.Events, d.read, d.w.Close)
	} else {
		d.Feeder = chat.NewFeeder(d.w, chat.Whole, d.message, d.w.Close)
	}
	return d
}

// decoder reads one answer: a message as JSON, or the events it is built by.
type decoder struct {
	chat.Feeder

	tr    *Translator
	req   *chat.Request
	w     *chat.Writer
	event event
	open  []block
	usage usage
	reply *reply // what the request says about tools; read when one is called
	wrote bool   // the answer came through jsonTool
	// stopped: it is known why the answer ended.
	stopped bool
	// uncounted: something of the answer came since its length was counted.
	uncounted bool

	citations, blocks int // in a stream: how many were sent
}

// reply is what a request tells about the tool calls of its answer.
type reply struct {
	names names
	json  bool
}

// message is a Message, whole or as message_start shows it.
// https://platform.claude.com/docs/en/api/messages/create#response
type message struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Model      string         `json:"model"`
	Content    []block        `json:"content"`
	StopReason string         `json:"stop_reason"`
	Usage      usage          `json:"usage"`
	Error      jsontext.Value `json:"error"`
}

// block is one content block.
type block struct {
	Type      string         `json:"type"`
	Text      string         `json:"text"`
	Citations jsontext.Value `json:"citations"`
	Thinking  string         `json:"thinking"`
	Signature string         `json:"signature"`
	Data      string         `json:"data"` // redacted_thinking
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Input     jsontext.Value `json:"input"`
	Content   jsontext.Value `json:"content"`     // of the results of Anthropic's own tools
	ToolUseID string         `json:"tool_use_id"` // of those too

	index    int    // in a stream: Anthropic's number of the block
	call     int    // the writer's number of the call
	answer   bool   // it is jsonTool: its input is the answer's text
	thought  []byte // in a stream: Thinking so far
	argument bool   // in a stream: some of Input has come
}

// message reads a whole answer.
func (d *decoder) message(data []byte) {
	var m message
	if err := upstream.Unmarshal(data, &m); err != nil {
		d.w.Fail(chat.Unreadable())
		return
	}
	switch {
	case m.Type == "error" || isFailure(m.Error):
		d.w.Fail(streamed(data))
		return
	case m.Type != "message" && m.Content == nil, len(m.Content) == 0 && m.StopReason == "":
		d.w.Fail(chat.Unreadable())
		return
	}
	d.head(&m)
	extra := extras{}
	answered := slices.ContainsFunc(m.Content, d.isAnswer)
	for i := range m.Content {
		if b := &m.Content[i]; !answered || b.Type != "text" { // what introduces the answer would break it
			d.block(b, &extra)
		}
	}
	if value := extra.value(); value != nil {
		d.w.Extra(0, "provider_specific_fields", value)
	}
	d.stopped = true
	d.count(&m.Usage)
	d.finish(m.StopReason)
}

func (d *decoder) head(m *message) {
	d.w.Head(m.ID, cmp.Or(m.Model, d.tr.target.Model))
}

// block reports one whole content block.
func (d *decoder) block(b *block, extra *extras) {
	switch b.Type {
	case "text":
		d.w.Text(0, b.Text)
		extra.addCitations(b.Citations)
	case "thinking":
		d.w.Reasoning(0, b.Thinking)
		d.keep(b)
	case "redacted_thinking":
		d.keep(b)
	case "tool_use":
		d.call(b)
		d.reportInput(b, argumentsOf(b.Input))
	default:
		extra.add(b)
	}
}

// isAnswer reports whether a block is the call that carries the answer itself.
func (d *decoder) isAnswer(b block) bool {
	return b.Type == "tool_use" && b.Name == jsonTool && d.request().json
}

// keep reports a block of thinking that can be given back: what is not signed
// cannot.
func (d *decoder) keep(b *block) {
	if b.Signature != "" || b.Data != "" {
		d.w.Thinking(0, chat.ThinkingBlock{Type: b.Type, Thinking: b.Thinking, Signature: b.Signature, Data: b.Data})
	}
}

// call reports the start of a tool call, unless it carries the answer itself.
func (d *decoder) call(b *block) {
	if b.answer = d.isAnswer(*b); b.answer {
		d.wrote = true
		return
	}
	b.call = d.w.ToolCall(0, chat.Call{ID: b.ID, Name: d.request().names.original(b.Name)})
}

// reportInput reports a piece of the input of a call.
func (d *decoder) reportInput(b *block, text string) {
	if b.answer {
		d.w.Text(0, text)
		return
	}
	d.w.Arguments(0, b.call, text)
}

// argumentsOf returns the input of a call as OpenAI's clients parse it: never
// empty.
func argumentsOf(input jsontext.Value) string {
	if len(input) == 0 || input.Kind() == 'n' {
		return "{}"
	}
	return string(input)
}

// request reads once what the request says about tools. It was accepted when the
// call was written, so it cannot fail now.
func (d *decoder) request() *reply {
	if d.reply == nil {
		d.reply = &reply{}
		if c, err := d.tr.completion(d.req); err == nil {
			d.reply.json = d.tr.writesByTool(c)
			d.reply.names = namesOf(c.Tools, d.reply.json)
		}
	}
	return d.reply
}

// finish reports why the answer ended.
func (d *decoder) finish(reason string) {
	reason = finishReason(reason)
	if d.wrote && reason == "tool_calls" {
		reason = "stop" // the writer makes it tool_calls again if there are any
	}
	d.w.Finish(0, reason)
}

// finishReason maps a stop_reason.
// https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
func finishReason(reason string) string {
	switch reason {
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	}
	return "stop" // end_turn, stop_sequence, pause_turn and what is yet to come
}

// usage counts tokens. A stream tells its counts again and again, each time from
// the beginning of the answer.
type usage struct {
	Input         *int64 `json:"input_tokens"` // without those of the cache
	Output        *int64 `json:"output_tokens"`
	CacheCreation *int64 `json:"cache_creation_input_tokens"`
	CacheRead     *int64 `json:"cache_read_input_tokens"`
	Details       struct {
		Thinking *int64 `json:"thinking_tokens"`
	} `json:"output_tokens_details"`
}

// count takes in the counts that u has. A zero is no news: some servers leave counts out
// of the end of the stream that way.
func (d *decoder) count(u *usage) {
	if u.Input == nil && u.Output == nil {
		return
	}
	take := func(total **int64, n *int64) {
		if n != nil && (*total == nil || *n != 0) {
			*total = n
		}
	}
	take(&d.usage.Input, u.Input)
	take(&d.usage.CacheCreation, u.CacheCreation)
	take(&d.usage.CacheRead, u.CacheRead)
	if u.Output != nil && *u.Output != 0 {
		d.uncounted = false
	}
	take(&d.usage.Output, u.Output)
	take(&d.usage.Details.Thinking, u.Details.Thinking)
	d.report()
}

// report passes on what is counted: of the whole answer, once it is known why that
// ended and how long it is.
func (d *decoder) report() {
	if d.stopped && d.usage.Output != nil && !d.uncounted {
		d.w.Usage(d.usage.tokens())
		return
	}
	d.w.UsageSoFar(d.usage.tokens())
}

func (u *usage) tokens() chat.Usage {
	value := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	out := chat.Usage{
		Prompt:     value(u.Input) + value(u.CacheCreation) + value(u.CacheRead),
		Completion: value(u.Output),
		Cached:     value(u.CacheRead),
		CacheWrite: value(u.CacheCreation),
		Reasoning:  value(u.Details.Thinking),
	}
	out.Total = out.Prompt + out.Completion
	return out
}
