package openai

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// NewDecoder returns the Decoder of an answer in OpenAI's format: it relays the
// bytes and picks out the usage. The answer's content-type, not the request,
// says whether it is a stream.
func NewDecoder(req *chat.Request, head upstream.Head) chat.Decoder {
	return newDecoder(req, head, &Quirks{})
}

func newDecoder(req *chat.Request, head upstream.Head, quirks *Quirks) chat.Decoder {
	rewrites := req.Endpoint == chat.Completions && quirks.rewritesAnswers()
	if strings.HasPrefix(head.Header.Get("content-type"), "text/event-stream") {
		d := newStreamDecoder(req)
		if rewrites {
			d.quirks = quirks
		}
		return d
	}
	if rewrites {
		return &rewriter{quirks: quirks}
	}
	return newRelay(req.Endpoint)
}

func newRelay(endpoint chat.Endpoint) *relay {
	d := &relay{endpoint: endpoint}
	if endpoint == chat.Responses {
		d.scan = jsonedit.NewScanner("id", "model", "usage", "object", "error", "message", "type", "code", "detail", "status",
			"incomplete_details")
	} else {
		d.scan = jsonedit.NewScanner("id", "model", "usage", "object", "error", "message", "type", "code", "detail")
	}
	switch endpoint {
	case chat.Completions, chat.TextCompletions:
		d.scan.WatchList("choices")
	case chat.Embeddings:
		d.scan.WatchList("data")
	case chat.Responses:
		d.scan.WatchList("output")
	}
	return d
}

// relay passes a blocking answer on untouched.
type relay struct {
	scan     *jsonedit.Scanner
	endpoint chat.Endpoint
	list     bool  // it begins as a JSON array does
	bytes    int64 // of the body, but for white space before it
	usage    chat.Usage
	counted  bool // usage is there
	measured bool // meter has all of the text
	meter    chat.Meter
	ended    bool
	aborted  *upstream.Error // why it broke off; nil: it did not
}

func (d *relay) Feed(chunk []byte, last bool) []byte {
	whole := last && d.bytes == 0
	d.scan.Feed(chunk)
	if d.bytes == 0 {
		text := bytes.TrimLeft(chunk, " \t\r\n")
		d.list, d.bytes = len(text) > 0 && text[0] == '[', int64(len(text))
	} else {
		d.bytes += int64(len(chunk))
	}
	d.ended = d.ended || last
	if last {
		d.count()
	}
	if whole && d.writes() && d.usage.Completion == 0 {
		measureAnswer(&d.meter, chunk)
		d.measured = true
	}
	return chunk
}

// writes reports whether the answer has text: a completion's, not a vector.
func (d *relay) writes() bool {
	switch d.endpoint {
	case chat.Completions, chat.TextCompletions, chat.Responses:
		return true
	}
	return false
}

// count reads the usage once, if it has come.
func (d *relay) count() {
	if v, ok := d.scan.Get("usage"); ok && !d.counted {
		d.usage, d.counted = chat.ParseUsage(v)
	}
}

// Abort makes an answer that has not ended the failure e. The client asked for a
// stream: it gets the error as an event after what it has received.
func (d *relay) Abort(e *upstream.Error) []byte {
	if d.ended {
		return nil
	}
	d.ended, d.aborted = true, e
	return sse.Append(nil, e.JSON())
}

// Failed is false: the body of a blocking answer is not replaced here.
func (d *relay) Failed() bool { return false }

func (d *relay) Started() bool { return d.ended && d.failure() == nil }

func (d *relay) Complete() bool { return d.Started() }

func (d *relay) Result() chat.Result {
	var r chat.Result
	r.ID, r.Model = text(d.scan, "id"), text(d.scan, "model")
	d.count()
	r.Usage = d.usage
	if d.endpoint == chat.Responses {
		r.FailureInBody, r.FinishReason = d.responseFailed(), d.incomplete()
	}
	r.Failure = d.failure()
	counted := d.counted && (!d.writes() || r.Usage.Completion > 0 || d.measured && d.meter.Bytes() == 0)
	switch {
	case counted, r.Failure != nil:
	case d.measured:
		r.Output = d.meter.Output()
	default:
		r.Output.Bytes = d.bytes // with what surrounds the text: servers that do not count are few
	}
	r.HasUsage = counted && r.Usage.Prompt > 0
	return r
}

func text(scan *jsonedit.Scanner, name string) string {
	v, ok := scan.Get(name)
	if !ok || v.Kind() != '"' {
		return ""
	}
	plain, err := jsontext.AppendUnquote(make([]byte, 0, 64), v)
	if err != nil {
		return "" // invalid text is no text
	}
	return string(plain)
}
