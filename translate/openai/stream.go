package openai

import (
	"bytes"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// streamDecoder relays a stream event by event. Events go out with the bytes
// they came in, except for the few that must change.
type streamDecoder struct {
	reader    sse.Reader
	hideUsage bool // the client did not ask for the usage chunk
	chunks    bool // chat or legacy chunks, which end with a finish reason and [DONE]
	first     bool // the first event has been read
	started   bool // something of the answer has been read
	finished  bool
	done      bool    // [DONE] was relayed
	ended     bool    // the client got its last byte
	quirks    *Quirks // nil: events need no rewriting
	meter     chat.Meter
	out       []byte
	result    chat.Result
}

func newStreamDecoder(req *chat.Request) *streamDecoder {
	chunks := req.Endpoint == chat.Completions || req.Endpoint == chat.TextCompletions
	return &streamDecoder{hideUsage: chunks && !req.WantsUsage, chunks: chunks}
}

// Feed relays whole events. A chunk that is whole events and needs no change is
// returned as it is.
func (d *streamDecoder) Feed(chunk []byte, last bool) []byte {
	if d.ended {
		return nil
	}
	untouched := len(d.reader.Pending()) == 0
	d.out = d.out[:0]
	d.reader.Feed(chunk)
	for event, ok := d.reader.Next(); ok && !d.ended; event, ok = d.reader.Next() {
		untouched = d.relay(event) && untouched
	}
	if err := d.reader.Err(); err != nil {
		d.fail(&upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Message: err.Error()})
		return d.out
	}
	if last && !d.ended {
		untouched = d.end() && untouched
	}
	if untouched && len(d.reader.Pending()) == 0 && len(d.out) == len(chunk) {
		return chunk
	}
	return d.out
}

func (d *streamDecoder) Failed() bool { return d.result.Failure != nil }

func (d *streamDecoder) Started() bool { return d.started }

func (d *streamDecoder) Result() chat.Result {
	r := d.result
	if !r.HasUsage {
		r.Output = d.meter.Output()
	}
	return r
}

// relay writes one event for the client and reports whether it went out as it
// came.
func (d *streamDecoder) relay(event sse.Event) bool {
	if len(event.Data) == 0 {
		d.out = append(d.out, event.Raw...)
		return true
	}
	if string(event.Data) == "[DONE]" {
		d.done = true
		if d.result.Failure != nil {
			return false // a broken stream must not look whole
		}
		d.out = append(d.out, event.Raw...)
		return true
	}
	var renamed []byte
	if d.quirks != nil {
		if data := d.quirks.rewrite(event.Data); !chat.Untouched(event.Data, data) {
			event.Data, renamed = data, data
		}
	}
	keep, data := d.inspect(event.Data)
	if data == nil {
		data = renamed
	}
	switch {
	case !keep:
		return false
	case data != nil:
		d.out = sse.Append(d.out, data)
		return false
	}
	d.out = append(d.out, event.Raw...)
	return true
}

// inspect reads what the gateway wants to know of an event. keep false drops
// it; a non-nil changed replaces it.
func (d *streamDecoder) inspect(data []byte) (keep bool, changed []byte) {
	if !d.first {
		d.first = true
		d.readHead(data)
	}
	at := placesIn(data)
	if startsWith(data, at.finish, `"`) {
		s := jsonedit.NewCursor(data, at.finish)
		if reason := s.Text(); len(reason) > 0 {
			d.finished, d.result.FinishReason = true, string(reason)
		}
	}
	// Older vLLM servers' error object stands bare: {"object":"error","message":…}.
	if at.failure > 0 && !startsWith(data, at.failure, "n") || startsWith(data, at.object, `"error"`) {
		if changed := d.errorEvent(data); changed != nil {
			return true, changed
		}
		d.failedResponse(data)
	}
	if !d.chunks && bytes.HasPrefix(data, []byte(`{"type":"error"`)) {
		d.failedResponse(data)
	}
	if d.chunks && d.result.ID == "" && at.filter > 0 {
		// Azure's first event has no id, no model and no choice, only the filter
		// results of the prompt: clients that read choices[0] fail on it.
		d.first = false // the next event has the id
		return false, nil
	}
	if !d.started && d.result.Failure == nil {
		d.started = d.carries(data)
	}
	at.measure(&d.meter, data)
	if startsWith(data, at.usage, "{") {
		return d.usageEvent(data)
	}
	return true, nil
}

func (d *streamDecoder) readHead(data []byte) {
	scan := jsonedit.NewScanner("id", "model")
	scan.Feed(data)
	d.result.ID, d.result.Model = text(scan, "id"), text(scan, "model")
}

type chunkHead struct {
	Object   string           `json:"object"`
	Choices  []jsontext.Value `json:"choices"`
	Usage    jsontext.Value   `json:"usage"`
	Response struct {
		Usage jsontext.Value `json:"usage"`
	} `json:"response"`
	Groq struct {
		Usage jsontext.Value `json:"usage"`
	} `json:"x_groq"`
	Error jsontext.Value `json:"error"`
}

// usageEvent reads the usage of an event and hides it from a client that did
// not ask for it.
func (d *streamDecoder) usageEvent(data []byte) (keep bool, changed []byte) {
	var head chunkHead
	if err := json.Unmarshal(data, &head); err != nil {
		return true, nil
	}
	value := head.Usage
	if value == nil {
		value = head.Response.Usage // the Responses API's response.completed
	}
	if value == nil {
		value = head.Groq.Usage
	}
	if u, ok := chat.ParseUsage(value); ok {
		d.result.Usage, d.result.HasUsage = u, true
	}
	if !d.hideUsage || head.Usage == nil {
		return true, nil
	}
	if len(head.Choices) == 0 {
		return false, nil
	}
	object, err := jsonedit.Parse(data)
	if err != nil {
		return true, nil
	}
	var edits jsonedit.Edits
	edits.Delete("usage")
	return true, object.Apply(&edits)
}

// end closes the stream towards the client and reports whether nothing had to
// be added.
func (d *streamDecoder) end() bool {
	untouched := true
	event, ok := d.reader.End()
	if ok && (jsontext.Value(event.Data).IsValid() || string(event.Data) == "[DONE]") {
		before := len(d.out)
		untouched = d.relay(event)
		if text := d.out[before:]; len(text) > 0 && !bytes.HasSuffix(text, []byte("\n\n")) {
			untouched = false
			d.out = append(d.out[:before+len(bytes.TrimRight(text, "\r\n"))], "\n\n"...)
		}
	} else if ok {
		untouched = false
	}
	switch {
	case d.done || !d.chunks || d.result.Failure != nil:
	case d.finished:
		d.out = append(d.out, "data: [DONE]\n\n"...)
		untouched = false
	default:
		d.fail(chat.Incomplete())
		untouched = false
	}
	d.ended = true
	return untouched
}

func (d *streamDecoder) fail(e *upstream.Error) {
	d.ended = true
	d.result.Failure = e
	d.out = sse.Append(d.out, e.JSON())
}
