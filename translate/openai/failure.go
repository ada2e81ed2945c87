package openai

import (
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer; OpenAI-format servers' members are kept.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return upstream.ReadError(head, body)
}

// failure is why an answer is none: it broke off, it is the error that some servers send
// with status 200, or it says nothing. nil: it is an answer, which may have a member
// "error" too (the Responses API's has).
func (d *relay) failure() *upstream.Error {
	switch {
	case d.aborted != nil:
		return d.aborted
	case d.ended && d.scan.Unfinished():
		return chat.Incomplete()
	case d.responseFailed():
		value, _ := d.scan.Get("error")
		return responseFailure(value)
	case d.ended && !d.answers(), d.object() == "":
		return d.embedded()
	case d.object() == "error": // older vLLM servers' stands bare
		return upstream.ReadEmbedded(d.bareError())
	}
	return nil
}

// object is the answer's member of that name; "" without one.
func (d *relay) object() string { return text(d.scan, "object") }

// answers reports whether a body that has ended has what the endpoint answers with. An
// answer without a choice is one if tokens were counted: Gemini and Azure answer so when
// a filter has left nothing, in OpenAI's format too.
func (d *relay) answers() bool {
	list, filled := d.scan.List()
	switch d.endpoint {
	case chat.Completions, chat.TextCompletions:
		if filled || !list {
			return filled
		}
		value, _ := d.scan.Get("usage")
		usage, _ := chat.ParseUsage(value)
		return usage.Prompt > 0
	case chat.Embeddings:
		return filled
	case chat.Responses:
		_, status := d.scan.Get("status")
		return list || status || d.object() == "response"
	}
	if d.list {
		return d.bytes > int64(len("[]"))
	}
	return d.scan.Complete() && d.scan.HasMembers()
}

// embedded is the error that stands in the place of an answer. nil: none does, as far as
// it was read.
func (d *relay) embedded() *upstream.Error {
	value, _ := d.scan.Get("error")
	if k := value.Kind(); k == '{' || k == '"' {
		return upstream.ReadEmbedded(slices.Concat([]byte(`{"error":`), value, []byte("}")))
	}
	if !d.ended || d.answers() {
		return nil
	}
	for _, name := range []string{"message", "detail"} {
		if _, ok := d.scan.Get(name); ok {
			return upstream.ReadEmbedded(d.bareError())
		}
	}
	return chat.Unreadable()
}

// bareError is the object of an error that stands bare, put together of its members.
func (d *relay) bareError() []byte {
	body := []byte(`{"object":"error"`)
	for _, name := range []string{"message", "type", "code", "detail"} {
		if value, ok := d.scan.Get(name); ok {
			body = append(append(body, `,"`+name+`":`...), value...)
		}
	}
	return append(body, '}')
}

// errorEvent reads an error inside a stream of chunks; nil when the event is no error.
func errorEvent(data []byte) *upstream.Error {
	var head chunkHead
	if json.Unmarshal(data, &head) != nil || (head.Error == nil || head.Error.Kind() == 'n') && head.Object != "error" {
		return nil
	}
	return upstream.ReadEmbedded(data)
}
