package callback

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
)

// ResponsesReader collects the answer of a Responses API stream for its record,
// while the stream passes to the client. (Streams of chat and text completions
// are collected by the cache's Recorder.) It belongs to one answer and is not
// safe for concurrent use.
type ResponsesReader struct {
	reader sse.Reader
	text   []byte // of the output so far, at most maxPartial bytes
	answer jsontext.Value
}

// maxPartial bounds the text that is kept until the whole answer comes.
const maxPartial = 256 << 10

// Feed reads the next bytes of the stream, cut anywhere.
func (r *ResponsesReader) Feed(chunk []byte) {
	r.reader.Feed(chunk)
	for event, ok := r.reader.Next(); ok; event, ok = r.reader.Next() {
		switch event.Name {
		case "response.output_text.delta":
			r.delta(event.Data)
		case "response.completed", "response.incomplete", "response.failed":
			r.whole(event.Data)
		}
	}
}

func (r *ResponsesReader) delta(data []byte) {
	var event struct {
		Delta string `json:"delta"`
	}
	if len(r.text) < maxPartial && json.Unmarshal(data, &event) == nil {
		r.text = append(r.text, event.Delta...)
	}
}

func (r *ResponsesReader) whole(data []byte) {
	var event struct {
		Response jsontext.Value `json:"response"`
	}
	if json.Unmarshal(data, &event) == nil {
		r.answer, r.text = event.Response, nil
	}
}

// Answer is the whole answer; of a stream that was cut, its text so far in the
// shape of one; nil when there is none.
func (r *ResponsesReader) Answer() jsontext.Value {
	if r.answer != nil || r.text == nil {
		return r.answer
	}
	out := []byte(`{"object":"response","status":"incomplete","output":[{"type":"message","role":"assistant",` +
		`"content":[{"type":"output_text","text":`)
	return append(jsonedit.AppendString(out, string(r.text)), "}]}]}"...)
}
