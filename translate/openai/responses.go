package openai

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// responseState is what is kept of a stream of the Responses API.
// https://platform.openai.com/docs/api-reference/responses-streaming
type responseState struct {
	created  bool   // the client knows of a response
	sequence int64  // sequence_number of the next event
	grown    uint64 // the items, by their index, that deltas came for
}

// typedEvent is an event of the Responses API, or of another endpoint whose events have
// types: the members that matter, as they stand in its text; nil: absent.
type typedEvent struct {
	kind, delta, item, part, response, failure, sequence, usage, index []byte
}

func readEvent(data []byte) (e typedEvent) {
	for name, value := range jsonedit.Members(data) {
		switch string(name) {
		case "type":
			e.kind = bytes.Trim(value, `"`)
		case "delta":
			e.delta = value
		case "item":
			e.item = value
		case "part":
			e.part = value
		case "response":
			e.response = value
		case "error":
			e.failure = value
		case "sequence_number":
			e.sequence = value
		case "output_index":
			e.index = value
		case "usage":
			e.usage = value
		}
	}
	return e
}

// inspectEvent reads an event that has a type. It stays as it is: the Responses API
// tells its failures in its own words. One that is none of that API's, a bare error
// object, is told in these words.
func (d *streamDecoder) inspectEvent(data []byte) {
	e := readEvent(data)
	d.first = true
	if n, err := strconv.ParseInt(string(e.sequence), 10, 64); err == nil {
		d.response.sequence = n + 1
	}
	switch string(e.kind) {
	case "response.created", "response.in_progress":
		d.response.created = true
		if d.result.ID == "" {
			d.readHead(e.response)
		}
	case "response.completed", "response.incomplete", "response.failed":
		d.readResponse(e.response, string(e.kind) == "response.failed")
	case "error":
		d.finished = true
		d.failed(data)
	case "":
		if d.result.Failure == nil && !isEmpty(e.failure) {
			d.failed(data)
			if d.kind == responseStream {
				d.failInPlace(d.result.Failure)
			}
		}
	}
	if !d.started && d.result.Failure == nil {
		d.started = e.carries()
	}
	d.measureEvent(&e)
	if e.usage != nil {
		d.countEvent(e.usage)
	}
}

// failed notes a failure that the stream tells by itself; the first one counts.
func (d *streamDecoder) failed(body []byte) {
	if d.result.Failure == nil {
		d.result.Failure = upstream.ReadEmbedded(body)
	}
}

// readResponse reads the response of a terminal event.
func (d *streamDecoder) readResponse(response []byte, failed bool) {
	d.finished = true
	var r finalResponse
	if json.Unmarshal(response, &r) != nil {
		return
	}
	if d.result.ID == "" {
		d.result.ID, d.result.Model = r.ID, r.Model
	}
	d.countEvent(r.Usage)
	d.result.FinishReason = r.Incomplete.Reason
	if failed && d.result.Failure == nil {
		d.result.Failure = responseFailure(r.Error)
	}
}

// finalResponse is a Response object that is over.
// https://platform.openai.com/docs/api-reference/responses/object
type finalResponse struct {
	ID         string         `json:"id"`
	Model      string         `json:"model"`
	Error      jsontext.Value `json:"error"`
	Incomplete struct {
		Reason string `json:"reason"` // max_output_tokens, content_filter
	} `json:"incomplete_details"`
	Usage jsontext.Value `json:"usage"`
}

// responseFailure is the error of a response that failed, of which this is the member
// error.
func responseFailure(member jsontext.Value) *upstream.Error {
	if member.Kind() != '{' {
		return chat.Incomplete()
	}
	return upstream.ReadEmbedded(slices.Concat([]byte(`{"error":`), member, []byte("}")))
}

// responseFailed reports whether a blocking response says that it failed.
func (d *relay) responseFailed() bool {
	status, _ := d.scan.Get("status")
	return string(status) == `"failed"` && d.endpoint == chat.Responses
}

// incomplete is why a blocking response is not complete; "" when it is.
func (d *relay) incomplete() string {
	var details struct {
		Reason string `json:"reason"`
	}
	if value, ok := d.scan.Get("incomplete_details"); ok && value.Kind() == '{' {
		_ = json.Unmarshal(value, &details) // of another shape: no reason
	}
	return details.Reason
}

func (d *streamDecoder) countEvent(usage jsontext.Value) {
	if u, ok := chat.ParseUsage(usage); ok {
		d.usage.report(u, d.meter.Bytes())
	}
}

// measureEvent notes the text of one event: of an item, its deltas, or, where none came,
// the whole of it.
func (d *streamDecoder) measureEvent(e *typedEvent) {
	switch {
	case len(e.delta) > 0 && e.delta[0] == '"':
		d.response.grown |= choiceBit(e.index)
		measureString(&d.meter, e.delta)
	case string(e.kind) == "response.output_item.done":
		if d.response.grown&choiceBit(e.index) == 0 {
			measureItem(&d.meter, e.item)
		}
		d.response.grown &^= choiceBit(e.index)
	}
}

// appendFailure appends what tells a client that the stream has failed: an error event,
// with the members that SDKs look for at either place, and, where the client knows of a
// response, the event that ends it, which agents wait for.
func (s *responseState) appendFailure(dst []byte, r *chat.Result, e *upstream.Error) []byte {
	body := e.JSON()
	data := append([]byte(`{"type":"error",`), body[1:len(body)-1]...)
	data = jsonedit.AppendString(jsonedit.AppendName(data, "message"), e.Message)
	data = appendOrNull(jsonedit.AppendName(data, "param"), e.Param)
	data = appendOrNull(jsonedit.AppendName(data, "code"), e.Code)
	dst = append(append(dst, "event: error\n"...), sse.Append(nil, s.appendNumber(data))...)
	if !s.created {
		return dst
	}
	data = jsonedit.AppendString([]byte(`{"type":"response.failed","response":{"object":"response","id":`), r.ID)
	data = jsonedit.AppendString(jsonedit.AppendName(data, "model"), r.Model)
	data = strconv.AppendInt(jsonedit.AppendName(data, "created_at"), time.Now().Unix(), 10)
	data = append(data, `,"status":"failed","output":[],"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"usage":null,`+
		`"incomplete_details":null,"error":{"code":`...)
	data = jsonedit.AppendString(data, responseCode(e.Code))
	data = append(jsonedit.AppendString(jsonedit.AppendName(data, "message"), e.Message), "}}"...)
	return append(append(dst, "event: response.failed\n"...), sse.Append(nil, s.appendNumber(data))...)
}

// appendNumber ends an event with its sequence_number.
func (s *responseState) appendNumber(data []byte) []byte {
	data = strconv.AppendInt(jsonedit.AppendName(data, "sequence_number"), s.sequence, 10)
	s.sequence++
	return append(data, '}')
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return jsonedit.AppendString(dst, s)
}

// responseCode is the code of a failed response: the Responses API has a closed list.
func responseCode(code string) string {
	switch code {
	case "rate_limit_exceeded", "context_length_exceeded", "insufficient_quota":
		return code
	}
	return "server_error"
}
