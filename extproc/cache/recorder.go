package cache

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/sse"
)

// Recorder makes an [Entry] of an answer while it passes to the client. It sees
// what the client gets, in OpenAI's format, and never holds more than its limit:
// a longer answer is forgotten. It belongs to one answer and is not safe for
// concurrent use.
type Recorder struct {
	req    *chat.Request
	limit  int64
	stream bool
	why    Unstorable

	reader sse.Reader
	fold   folder
	whole  []byte
}

// Served says who gave an answer.
type Served struct {
	Provider, Deployment, Group string
	Model                       string // the provider's name of the model that was asked
	Fallback                    int    // how many groups were passed over; above 0 nothing is stored
}

// DefaultMaxEntry is the size of the largest entry when none is configured, in
// bytes.
const DefaultMaxEntry = 1 << 20

// NewRecorder returns the Recorder of an answer to req. stream says what the
// client gets: an event stream or JSON. limit is in bytes; 0 is
// [DefaultMaxEntry].
func NewRecorder(req *chat.Request, stream bool, limit int64) *Recorder {
	if limit <= 0 {
		limit = DefaultMaxEntry
	}
	r := &Recorder{req: req, stream: stream, limit: limit}
	r.fold.legacy = req.Endpoint == chat.TextCompletions
	if stream && !replayable(req.Endpoint) {
		r.why = "a stream of this endpoint"
	}
	return r
}

// Recording reports whether the Recorder still wants the answer's bytes.
func (r *Recorder) Recording() bool { return r.why == "" }

// Feed reads the next bytes that go to the client, cut anywhere. They are
// copied.
func (r *Recorder) Feed(chunk []byte) {
	if r.why != "" || len(chunk) == 0 {
		return
	}
	if r.stream {
		r.events(chunk)
		return
	}
	if int64(len(r.whole)+len(chunk)) > r.limit {
		r.forget("too long")
		return
	}
	r.whole = append(r.whole, chunk...)
}

func (r *Recorder) events(chunk []byte) {
	if int64(len(r.reader.Pending())+len(chunk)) > 2*r.limit {
		r.forget("too long an event")
		return
	}
	r.reader.Feed(chunk)
	for event, ok := r.reader.Next(); ok; event, ok = r.reader.Next() {
		r.fold.event(event.Data)
	}
	switch {
	case r.fold.why != "":
		r.why = r.fold.why // what came before stays, for Answer
	case r.fold.size > r.limit:
		r.forget("too long")
	case r.reader.Err() != nil:
		r.forget("too long an event")
	}
}

func (r *Recorder) forget(why Unstorable) {
	*r = Recorder{req: r.req, limit: r.limit, stream: r.stream, why: why}
}

// Finish makes the entry of an answer that has ended; result is its decoder's.
// The error is an [Unstorable]: the answer is no good for others (an error, a
// cut stream, a filter's refusal, a missing choice) or too long. The Recorder
// must not be used afterwards.
func (r *Recorder) Finish(served Served, result chat.Result, now time.Time) (*Entry, error) {
	body, why := r.body(result)
	switch {
	case result.Failure != nil:
		why = "a failure"
	case served.Fallback > 0:
		why = "a fallback's answer"
	}
	if why == "" {
		return makeEntry(r.req, Entry{Served: served, Result: result, Stored: now}, body)
	}
	r.forget(why)
	return nil, why
}

// Answer returns what was read so far in its blocking form, for those who show it
// and do not store it: a stream may lack its end, or fail in the middle. It is nil when
// there is nothing, half a JSON text, or more than the limit. Call it before Finish.
func (r *Recorder) Answer() []byte {
	switch {
	case !r.stream && r.why != "":
		return nil
	case !r.stream:
		if whole := bytes.TrimSpace(r.whole); jsontext.Value(whole).IsValid() {
			return whole
		}
		return nil
	case r.fold.head == nil && r.fold.choices == nil:
		return nil
	}
	return r.fold.answer()
}

// makeEntry completes the entry of a blocking answer, if that is worth one.
func makeEntry(req *chat.Request, e Entry, body []byte) (*Entry, error) {
	object, err := jsonedit.Parse(body)
	if err != nil {
		return nil, Unstorable("no JSON object")
	}
	if why := storable(req, object); why != "" {
		return nil, why
	}
	e.Endpoint, e.JSON, e.Result.Failure = req.Endpoint, object.Source(), nil
	e.Stored = e.Stored.UTC().Truncate(time.Millisecond)
	e.complete(object)
	return &e, nil
}

// body returns the answer in its blocking form.
func (r *Recorder) body(result chat.Result) ([]byte, Unstorable) {
	if !r.stream || r.why != "" {
		return bytes.TrimSpace(r.whole), r.why
	}
	f := &r.fold
	if len(r.reader.Pending()) > 0 || !f.done {
		return nil, "a stream without its end"
	}
	if f.usage == nil && result.HasUsage {
		f.usage = chat.AppendUsage(nil, result.Usage)
	}
	body := f.answer()
	if int64(len(body)) > r.limit {
		return nil, "too long"
	}
	return body, ""
}
