package chat

import (
	"bytes"

	"github.com/isthmus-proxy/isthmus/translate/ndjson"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Form is how a provider sends an answer.
type Form uint8

// The forms of an answer.
const (
	Whole  Form = iota // one body
	Events             // server-sent events
	Lines              // a JSON text a line
)

// Feeder is the half of a [Decoder] that providers with a format of their own
// have in common: it takes an answer as it comes, cuts it into pieces and lets
// the provider's code read them, which reports to the Writer what they say. A
// decoder embeds it. The zero Feeder is not ready: see [NewFeeder].
type Feeder struct {
	w      *Writer
	pieces pieces // nil: the answer is one body
	body   []byte // of such an answer, but for its last chunk
	read   func(piece []byte)
	end    func()
}

// NewFeeder returns the Feeder of one answer. read gets a whole body, the data of
// one event or one line; it must not keep it. end is called once after the last
// piece, unless the answer has failed, and has to close the Writer.
func NewFeeder(w *Writer, form Form, read func(piece []byte), end func()) Feeder {
	f := Feeder{w: w, read: read, end: end}
	switch form {
	case Events:
		f.pieces = &events{}
	case Lines:
		f.pieces = &lines{}
	}
	return f
}

// Feed reads the next bytes of the answer, see [Decoder].
func (f *Feeder) Feed(chunk []byte, last bool) []byte {
	if f.w.Closed() {
		return nil
	}
	if f.pieces == nil {
		f.gather(chunk, last)
	} else {
		f.cut(chunk, last)
	}
	if last && !f.w.Closed() {
		f.end()
	}
	return f.w.Take()
}

// Abort ends a stream whose provider says no more, see [Decoder].
func (f *Feeder) Abort(e *upstream.Error) []byte {
	switch {
	case f.w.Closed():
		return nil
	case f.w.complete():
		f.end()
	default:
		f.w.Fail(e)
	}
	return f.w.Take()
}

func (f *Feeder) gather(chunk []byte, last bool) {
	switch {
	case len(f.body)+len(chunk) > sse.MaxEvent:
		f.body = nil
		f.w.Fail(Unreadable())
	case !last:
		f.body = append(f.body, chunk...)
	case len(f.body) > 0:
		f.read(append(f.body, chunk...))
	default:
		f.read(chunk)
	}
}

func (f *Feeder) cut(chunk []byte, last bool) {
	f.pieces.feed(chunk)
	for piece, ok := f.pieces.next(last); ok && !f.w.Closed(); piece, ok = f.pieces.next(last) {
		f.read(piece)
	}
	if f.pieces.failed() {
		f.w.Fail(Unreadable())
	}
}

// Failed reports whether the answer has failed.
func (f *Feeder) Failed() bool { return f.w.Failed() }

// Started reports whether something of the answer itself has been read, see
// [Decoder].
func (f *Feeder) Started() bool { return f.w.Started() }

// Complete reports whether the last event has been read, see [Decoder]. In a format
// without one it is the end of the connection.
func (f *Feeder) Complete() bool { return f.w.Closed() && !f.w.Failed() }

// Result is what is known of the answer so far.
func (f *Feeder) Result() Result { return f.w.Result() }

// pieces cuts a stream. next returns the next piece that is whole, or, when the
// stream has ended, what is left; failed reports a piece too long to hold.
type pieces interface {
	feed(chunk []byte)
	next(ended bool) ([]byte, bool)
	failed() bool
}

type events struct{ sse.Reader }

func (e *events) feed(chunk []byte) { e.Feed(chunk) }

func (e *events) failed() bool { return e.Err() != nil }

// next passes over comments and OpenAI's terminator, which some proxies add.
func (e *events) next(ended bool) ([]byte, bool) {
	cut := e.Next
	if ended {
		cut = e.End
	}
	for event, ok := cut(); ok; event, ok = cut() {
		if data := bytes.TrimSpace(event.Data); len(data) > 0 && string(data) != "[DONE]" {
			return data, true
		}
	}
	return nil, false
}

type lines struct{ ndjson.Reader }

func (l *lines) feed(chunk []byte) { l.Feed(chunk) }

func (l *lines) failed() bool { return l.Err() != nil }

func (l *lines) next(ended bool) ([]byte, bool) {
	if ended {
		return l.End()
	}
	return l.Next()
}
