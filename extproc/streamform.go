package extproc

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/sse"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Some servers answer a request for a stream with one JSON document, which the
// client's library cannot read as a stream. Such an answer is read whole, counted,
// stored and shown as a blocking one, and told to the client as the events that it
// would have come in.

// form is what an answer is, if it may be another one than its client expects.
type form uint8

const (
	expected   form = iota
	unstreamed      // a document, as its headers say, where a stream was asked for
	mislabeled      // a stream with the headers of a document
)

// formOf is the form of an answer in OpenAI's format, as far as its headers tell.
func formOf(req *chat.Request, header upstream.Header) form {
	kind, _, _ := strings.Cut(header.Get("content-type"), ";")
	if req.Stream && (req.Endpoint == chat.Completions || req.Endpoint == chat.TextCompletions) &&
		strings.EqualFold(strings.TrimSpace(kind), "application/json") && header.Get("content-encoding") == "" {
		return unstreamed
	}
	return expected
}

// detectStream looks at the body of an answer that is said to be no stream, and has it
// read as one if it is one all the same.
func (s *requestStream) detectStream(body []byte) {
	r, x := s.response, s.exchange
	if r.form != unstreamed || !looksLikeEvents(body) {
		return
	}
	r.form = mislabeled
	head := upstream.Head{Status: http.StatusOK, Header: upstream.Header{{Name: "content-type", Value: eventStream}}}
	r.decoder = r.hop.Translator.Decoder(x.requestFor(&r.hop), head)
	x.caching.keep(x.request, &r.hop, true)
	s.capture(true)
}

const eventStream = "text/event-stream"

// looksLikeEvents reports whether a body begins as a stream of events does.
func looksLikeEvents(body []byte) bool {
	events, _ := sse.Begins(body)
	return events
}

// inForm is a good answer that was read whole, out, in the form that its client expects.
// It is out itself where nothing need or can be done: what is no whole answer cannot be
// made a stream.
func (s *requestStream) inForm(out []byte, edit *wire.HeaderMutation) []byte {
	x := s.exchange
	switch s.response.form {
	case expected:
		return out
	case unstreamed:
		events, ok := cache.Events(x.request, out)
		if !ok {
			return out
		}
		out = events
		s.notifyHooks(out)
	}
	edit.Set("content-type", eventStream+"; charset=utf-8")
	edit.Set("cache-control", "no-cache")
	edit.Set("content-length", strconv.Itoa(len(out)))
	return out
}
