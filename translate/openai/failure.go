package openai

import (
	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer; OpenAI-format servers' members are kept.
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	return upstream.ReadError(head, body)
}

// failure is the error that stands in the place of an answer: some servers send
// theirs with status 200. nil: it is an answer, which may have a member of that
// name too (the Responses API's has).
func (d *relay) failure() *upstream.Error {
	switch {
	case d.aborted != nil:
		return d.aborted
	case d.ended && d.scan.Unfinished():
		return chat.Incomplete()
	case d.responseFailed():
		value, _ := d.scan.Get("error")
		return responseFailure(value)
	}
	switch kind, _ := d.scan.Get("object"); string(kind) {
	case `"error"`: // older vLLM servers' stands bare
		return upstream.ReadEmbedded(d.bareError())
	case "":
	default:
		return nil
	}
	value, _ := d.scan.Get("error")
	if k := value.Kind(); k != '{' && k != '"' {
		return nil
	}
	return upstream.ReadEmbedded(append(append([]byte(`{"error":`), value...), '}'))
}

// bareError is the object of an error that stands bare, put together of its members.
func (d *relay) bareError() []byte {
	body := []byte(`{"object":"error"`)
	for _, name := range []string{"message", "type", "code"} {
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
