package openai

import (
	"bytes"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// streamKind is what the events of a stream are.
type streamKind uint8

const (
	chunkStream    streamKind = iota // chat or legacy chunks, which end with a finish reason and [DONE]
	responseStream                   // events of the Responses API, of which one is terminal
	otherStream                      // events of other endpoints
)

// streamDecoder relays a stream event by event. Events go out with the bytes
// they came in, except for the few that must change.
type streamDecoder struct {
	reader    sse.Reader
	kind      streamKind
	hideUsage bool // the client did not ask for the usage chunk
	first     bool // the first event has been read
	started   bool // something of the answer has been read
	finished  bool // a finish reason, or a terminal event, has been read
	done      bool // [DONE] was relayed
	muted     bool // the client got an error in the place of the rest
	ended     bool // nothing is read any more
	response  responseState
	usage     usageCount
	quirks    *Quirks // nil: events need no rewriting
	meter     chat.Meter
	out       []byte
	result    chat.Result
}

func newStreamDecoder(req *chat.Request) *streamDecoder {
	d := &streamDecoder{kind: otherStream}
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions:
		d.kind, d.hideUsage = chunkStream, !req.WantsUsage
	case chat.Responses:
		d.kind = responseStream
	}
	return d
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
	if err := d.reader.Err(); err != nil && !d.ended {
		d.fail(&upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Message: err.Error()})
	}
	if d.ended {
		return d.out
	}
	if last {
		untouched = d.end() && untouched
	}
	if untouched && len(d.reader.Pending()) == 0 && len(d.out) == len(chunk) {
		return chunk
	}
	return d.out
}

func (d *streamDecoder) Failed() bool { return d.result.Failure != nil }

func (d *streamDecoder) Started() bool { return d.started }

func (d *streamDecoder) Complete() bool {
	return d.result.Failure == nil && (d.kind == chunkStream && d.done || d.kind == responseStream && d.finished)
}

func (d *streamDecoder) Result() chat.Result {
	r := d.result
	r.Usage = d.usage.total()
	counted := d.usage.counted && (d.kind == otherStream || (d.finished || d.done) && d.usage.covers(d.meter.Bytes()))
	if !counted {
		r.Output = d.meter.Output()
	}
	r.HasUsage = counted && r.Usage.Prompt > 0
	return r
}

// relay writes one event for the client and reports whether it went out as it
// came.
func (d *streamDecoder) relay(event sse.Event) bool {
	switch {
	case len(event.Data) == 0:
		return d.send(event)
	case string(event.Data) == "[DONE]":
		if d.done = true; !d.hasAnswer() {
			d.fail(chat.Incomplete())
			return false
		}
		return d.send(event) // not after an error: a broken stream must not look whole
	case d.kind != otherStream && !isObject(event.Data):
		d.fail(chat.Unreadable())
		return false
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
	case !keep || d.muted:
		return false
	case data != nil:
		d.out = sse.Append(d.out, data)
		return false
	}
	return d.send(event)
}

// hasAnswer reports whether a stream of chunks that ends with [DONE] was an answer: some
// content came, or its usage counts a prompt, where a filter may have left no content.
// The stream counts as started then.
func (d *streamDecoder) hasAnswer() bool {
	if d.kind == chunkStream && d.result.Failure == nil {
		d.started = d.started || d.usage.total().Prompt > 0
		return d.started
	}
	return true
}

// send lets an event go out as it came.
func (d *streamDecoder) send(event sse.Event) bool {
	if d.muted {
		return false
	}
	d.out = append(d.out, event.Raw...)
	return true
}

// isObject reports whether an event can be a JSON object, by its ends.
func isObject(data []byte) bool {
	data = bytes.TrimSpace(data)
	return len(data) > 1 && data[0] == '{' && data[len(data)-1] == '}'
}

// inspect reads what the gateway wants to know of an event. keep false drops
// it; a non-nil changed replaces it.
func (d *streamDecoder) inspect(data []byte) (keep bool, changed []byte) {
	if d.kind != chunkStream {
		d.inspectEvent(data)
		return true, nil
	}
	if !d.first {
		d.first = true
		d.readHead(data)
	}
	at := placesIn(data)
	if startsWith(data, at.finish, `"`) {
		d.readFinish(data)
	}
	// Older vLLM servers' error object stands bare: {"object":"error","message":…}.
	if at.failure > 0 && !startsWith(data, at.failure, "n") || startsWith(data, at.object, `"error"`) {
		if e := errorEvent(data); e != nil {
			d.failInPlace(e)
			return false, nil
		}
	}
	if d.result.ID == "" && at.filter > 0 {
		// Azure's first event has no id, no model and no choice, only the filter
		// results of the prompt: clients that read choices[0] fail on it.
		d.first = false // the next event has the id
		return false, nil
	}
	if !d.started && d.result.Failure == nil {
		d.started = chunkCarries(data)
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

// readFinish notes which choices a chunk finishes.
func (d *streamDecoder) readFinish(data []byte) {
	for choice := range jsonedit.Elements(choicesOf(data)) {
		var reason, index []byte
		for name, value := range jsonedit.Members(choice) {
			switch string(name) {
			case "finish_reason":
				reason = value
			case "index":
				index = value
			}
		}
		if len(reason) < len(`"x"`) || reason[0] != '"' {
			continue
		}
		d.finished = true
		first := len(index) == 0 || string(index) == "0"
		if reason = bytes.Trim(reason, `"`); first || d.result.FinishReason == "" {
			d.result.FinishReason = string(reason)
		}
		d.usage.finish(index)
	}
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
	before := len(d.out)
	d.close(chat.Incomplete(), d.kind == otherStream && d.first)
	return untouched && len(d.out) == before
}

// close adds what ends the stream: [DONE] where it alone is missing, else the error e.
// whole: nothing is missing.
func (d *streamDecoder) close(e *upstream.Error, whole bool) {
	switch {
	case d.ended, d.result.Failure != nil, whole:
	case d.kind == chunkStream && d.finished && !d.done:
		d.out = append(d.out, "data: [DONE]\n\n"...)
	case d.kind == chunkStream && !d.done, d.kind == responseStream && !d.finished, d.kind == otherStream, !d.first:
		d.fail(e)
	}
	d.ended = true
}

// Abort ends a stream whose provider says no more, see [chat.Decoder].
func (d *streamDecoder) Abort(e *upstream.Error) []byte {
	d.out = d.out[:0]
	d.close(e, false)
	return d.out
}

// fail ends the stream with an error.
func (d *streamDecoder) fail(e *upstream.Error) {
	d.failInPlace(e)
	d.ended = true
}

// failInPlace gives the client an error in the place of all that follows, of which
// only the usage is still read. The first error counts.
func (d *streamDecoder) failInPlace(e *upstream.Error) {
	if d.result.Failure == nil {
		d.result.Failure = e
	}
	if d.muted {
		return
	}
	d.muted = true
	if d.kind == responseStream {
		d.out = d.response.appendFailure(d.out, &d.result, e)
		return
	}
	d.out = sse.Append(d.out, e.JSON())
}
