package chat

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Writer writes one answer in OpenAI's format from what a provider's decoder
// reports. For a streaming request each report becomes an event at once; for a
// blocking one the answer is written when Close is called. The order of reports
// is free as long as Close is last, but that tokens are counted after the text
// that they are of; what comes after Close is ignored. A Writer belongs to one
// answer and is not safe for concurrent use.
type Writer struct {
	stream    bool
	legacy    bool // /v1/completions: text_completion objects
	sendUsage bool
	created   int64
	out       []byte
	choices   []choice
	started   bool // something of the answer was reported
	closed    bool
	result    Result
	meter     Meter
	counted   int64 // how much text there was when tokens were last reported, in bytes
}

// choice is the state of one choice, and its whole content when blocking.
type choice struct {
	seen      bool
	begun     bool // its first delta was sent
	text      []byte
	reasoning []byte
	refusal   []byte
	calls     []Call
	thinking  []ThinkingBlock
	logprobs  []byte // items of logprobs.content, comma separated
	extra     []upstream.Param
	finish    string
}

// maxChoices bounds the choice index a provider may name.
const maxChoices = 128

// NewWriter returns the Writer of an answer to req.
func NewWriter(req *Request) *Writer {
	return &Writer{
		stream:    req.Stream,
		legacy:    req.Endpoint == TextCompletions,
		sendUsage: req.WantsUsage,
		created:   time.Now().Unix(),
	}
}

// Head gives the answer its id and model; the first non-empty value of each
// holds. Without an id one is made up.
func (w *Writer) Head(id, model string) {
	if w.result.ID == "" {
		w.result.ID = id
	}
	if w.result.Model == "" {
		w.result.Model = model
	}
}

// Text adds to the content of a choice.
func (w *Writer) Text(index int, text string) {
	c := w.choice(index)
	if c == nil || text == "" {
		return
	}
	w.started = true
	w.meter.Add(text)
	if !w.stream {
		c.text = append(c.text, text...)
		return
	}
	if w.legacy {
		w.out = w.appendLegacyChunk(w.out, index, text, "")
		return
	}
	w.out = appendString(w.openDelta(index, "content"), text)
	w.closeDelta()
}

// Reasoning adds to the reasoning_content of a choice.
func (w *Writer) Reasoning(index int, text string) {
	c := w.choice(index)
	if c == nil || text == "" || w.legacy {
		return
	}
	w.started = true
	w.meter.Add(text)
	if !w.stream {
		c.reasoning = append(c.reasoning, text...)
		return
	}
	w.out = appendString(w.openDelta(index, "reasoning_content"), text)
	w.closeDelta()
}

// Refusal adds to the refusal of a choice.
func (w *Writer) Refusal(index int, text string) {
	c := w.choice(index)
	if c == nil || text == "" || w.legacy {
		return
	}
	w.started = true
	w.meter.Add(text)
	if !w.stream {
		c.refusal = append(c.refusal, text...)
		return
	}
	w.out = appendString(w.openDelta(index, "refusal"), text)
	w.closeDelta()
}

// ToolCall starts a tool call and returns its index in the choice. Arguments
// may come with it or later by [Writer.Arguments]. A call without an id is
// given one.
func (w *Writer) ToolCall(index int, call Call) int {
	c := w.choice(index)
	if c == nil || w.legacy {
		return 0
	}
	w.started = true
	if call.ID == "" {
		call.ID = "call_" + rand.Text()
	}
	w.meter.Add(call.Name)
	w.meter.Add(call.Arguments)
	n := len(c.calls)
	c.calls = append(c.calls, call)
	if w.stream {
		w.out = appendCalls(w.openDelta(index, "tool_calls"), n, call)
		w.closeDelta()
		c.calls[n] = Call{} // only the count matters from here on
	}
	return n
}

// Arguments adds a fragment of the arguments of call n of a choice.
func (w *Writer) Arguments(index, n int, fragment string) {
	c := w.choice(index)
	if c == nil || n >= len(c.calls) || fragment == "" {
		return
	}
	w.started = true
	w.meter.Add(fragment)
	if !w.stream {
		c.calls[n].Arguments += fragment
		return
	}
	w.out = appendArguments(w.openDelta(index, "tool_calls"), n, fragment)
	w.closeDelta()
}

// Thinking adds a whole reasoning block, which the client must give back
// unchanged in the next turn. A stream carries all blocks of a choice together,
// before its finish reason: of a member they do not know, the clients in use keep
// the last value (Node) or refuse a second one (Python).
func (w *Writer) Thinking(index int, block ThinkingBlock) {
	if c := w.choice(index); c != nil && !w.legacy {
		w.started = true
		c.thinking = append(c.thinking, block)
	}
}

// Logprobs adds items to logprobs.content of a choice; items is the inside of a
// JSON array.
func (w *Writer) Logprobs(index int, items []byte) {
	c := w.choice(index)
	if c == nil || len(items) == 0 {
		return
	}
	w.started = true
	if !w.stream {
		if len(c.logprobs) > 0 {
			c.logprobs = append(c.logprobs, ',')
		}
		c.logprobs = append(c.logprobs, items...)
		return
	}
	w.out = w.appendLogprobsChunk(w.out, index, items)
}

// Extra adds a member that OpenAI does not have (images, annotations …) to the
// message or, streaming, to a delta.
func (w *Writer) Extra(index int, name string, value jsontext.Value) {
	c := w.choice(index)
	if c == nil || w.legacy {
		return
	}
	w.started = true
	if !w.stream {
		c.extra = append(c.extra, upstream.Param{Name: name, Value: value.Clone()})
		return
	}
	w.out = append(w.openDelta(index, name), value...)
	w.closeDelta()
}

// Finish says why a choice ended, in OpenAI's words. "stop" becomes
// "tool_calls" when the choice has tool calls. It is written by Close, since
// providers report it before their last content.
func (w *Writer) Finish(index int, reason string) {
	if c := w.choice(index); c != nil {
		w.started = w.started || reason != ""
		c.finish = reason
	}
}

// Usage sets the token counts of the whole answer. What the last call says holds, but
// for zeros: see [Usage.Updated].
func (w *Writer) Usage(u Usage) {
	w.UsageSoFar(u)
	w.UsageEnds()
}

// UsageSoFar sets the token counts that are reported before the answer's end: all of
// the prompt, and of the completion none, or a part.
func (w *Writer) UsageSoFar(u Usage) {
	w.result.Usage = w.result.Usage.Updated(u.bounded())
	w.result.HasUsage, w.counted = false, w.meter.Bytes()
}

// UsageEnds says that no other counts will come. They are those of the whole answer if
// no text has come since.
func (w *Writer) UsageEnds() { w.result.HasUsage = true }

// Fail ends the answer with an error: in a stream as an error event.
func (w *Writer) Fail(e *upstream.Error) {
	if w.closed {
		return
	}
	w.closed = true
	w.result.Failure = e
	if w.stream {
		w.out = appendEvent(w.out, e.JSON())
	}
}

// Close ends the answer: finish reasons, usage, [DONE]. An answer whose
// choices have not all finished fails instead: a cut answer never looks whole.
func (w *Writer) Close() {
	if w.closed {
		return
	}
	if !w.complete() {
		w.Fail(Incomplete())
		return
	}
	w.closed = true
	for i := range w.choices {
		c := &w.choices[i]
		if len(c.calls) > 0 && c.finish == "stop" {
			c.finish = "tool_calls"
		}
	}
	w.result.FinishReason = w.choices[0].finish
	if !w.stream {
		w.out = w.appendAnswer(w.out)
		return
	}
	for i := range w.choices {
		if blocks := w.choices[i].thinking; len(blocks) > 0 {
			w.out = appendThinking(w.openDelta(i, "thinking_blocks"), blocks)
			w.closeDelta()
		}
		w.out = w.appendFinishChunk(w.out, i)
	}
	if w.sendUsage && w.result.HasUsage {
		w.out = w.appendUsageChunk(w.out)
	}
	w.out = appendEvent(w.out, []byte("[DONE]"))
}

// Incomplete is the failure of an answer that ended without a finish reason.
func Incomplete() *upstream.Error {
	return &upstream.Error{
		Status: http.StatusBadGateway, Type: "server_error", Code: "incomplete_answer",
		Message: "the provider's answer ended before it was complete",
	}
}

// Unreadable is the failure of a 2xx answer that is not what it should be.
func Unreadable() *upstream.Error {
	return &upstream.Error{
		Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer",
		Message: "the provider's answer could not be read",
	}
}

func (w *Writer) complete() bool {
	for i := range w.choices {
		if w.choices[i].seen && w.choices[i].finish == "" {
			return false
		}
	}
	return len(w.choices) > 0
}

// maxKept is the size up to which a Writer writes into the same memory again, in
// bytes: one large event must not stay as long as the stream lasts.
const maxKept = 64 << 10

// Take returns what is ready for the client, nil when nothing is. It is valid
// until the next report.
func (w *Writer) Take() []byte {
	out := w.out
	if w.out = out[:0]; cap(out) > maxKept {
		w.out = nil
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Closed reports whether the answer has ended.
func (w *Writer) Closed() bool { return w.closed }

// Failed reports whether the answer ended with an error.
func (w *Writer) Failed() bool { return w.result.Failure != nil }

// Started reports whether something of the answer was reported: of a blocking
// answer once it is closed, and not when it failed.
func (w *Writer) Started() bool { return w.started && (w.stream || w.closed && !w.Failed()) }

// Result returns what is known of the answer so far.
func (w *Writer) Result() Result {
	r := w.result
	if w.meter.Bytes() > 0 {
		r.Usage = r.Usage.Completed()
	}
	counted := r.HasUsage && r.Failure == nil && w.counted == w.meter.Bytes() && (r.Usage.Completion > 0 || w.meter.Bytes() == 0)
	if !counted {
		r.Output = w.meter.Output()
	}
	r.HasUsage = counted && r.Usage.Prompt > 0
	return r
}

// choice returns the state of a choice, or nil when nothing may be added to it.
func (w *Writer) choice(index int) *choice {
	if w.closed || index < 0 || index >= maxChoices {
		return nil
	}
	for len(w.choices) <= index {
		w.choices = append(w.choices, choice{})
	}
	c := &w.choices[index]
	c.seen = true
	return c
}

func (w *Writer) id() string {
	if w.result.ID == "" {
		prefix := "chatcmpl-"
		if w.legacy {
			prefix = "cmpl-"
		}
		w.result.ID = prefix + rand.Text()
	}
	return w.result.ID
}
