package extproc

import (
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// responseReader reads the body of the final answer.
type responseReader struct {
	hop      routing.Hop
	decoder  chat.Decoder
	merge    *cache.Batch // stored embeddings that the answer must be merged with
	unjudged *unjudged    // an error whose body is to be read; else nil
	whole    bool         // the body comes as one message and may still change the status
	partial  bool         // unless it is too long for Envoy's buffer: wire.WholeOrPart
	form     form
	begun    bool          // something of the answer came
	sent     int64         // bytes of it that were given to Envoy for the client
	stall    *stall        // of a stream that is read in the mode Duplex; else nil
	gap      time.Duration // of a stream that is not, the longest that Envoy allows; 0: no bound
	last     time.Time     // of such a stream, when its last piece came
	ended    bool
}

// responseHeaders decides what becomes of the final answer.
func (s *requestStream) responseHeaders(m wire.Message) *wire.Answer {
	x := s.exchange
	header := m.Headers()
	status, _ := strconv.Atoi(header.Get(":status"))
	if x == nil || x.request == nil || s.response != nil {
		return wire.PassResponseHeaders(nil) // our own immediate answer passes here too
	}
	now := time.Now()
	n := attemptNumber(header, m)
	x.attempts.lost(n, now)
	hop, ok := x.attempts.hop(n)
	if ok && status >= 200 && status < 300 {
		return s.goodAnswer(m, header, hop, n)
	}
	details := m.Attribute(names.AttributeDetails)
	if ok && s.encoding == planAggregate && details == "via_upstream" {
		return s.lastAnswer(m, header, unjudged{attempt: n, hop: hop})
	}
	return s.errorAnswer(header, n, details)
}

// attemptNumber is which attempt an answer belongs to.
func attemptNumber(header upstream.Header, m wire.Message) int {
	if n := m.AttributeNumber(names.AttributeAttempt); n > 0 {
		return n
	}
	n, _ := strconv.Atoi(header.Get("x-envoy-attempt-count"))
	return max(n, 1)
}

// goodAnswer lets a 2xx answer through the decoder of the deployment it is from.
func (s *requestStream) goodAnswer(m wire.Message, header upstream.Header, hop routing.Hop, n int) *wire.Answer {
	x := s.exchange
	head := upstream.Head{Status: statusOf(header), Header: header}
	if why := x.mismatch(header, &hop, m.EndOfStream()); why != "" {
		e := invalidAnswer(why)
		x.attempts.failed(n, e.Status, "answer is not of this API", time.Now())
		if !x.request.Stream {
			x.snapshot.router.NoteErrorBehind200(&hop)
		}
		s.response = &responseReader{ended: true}
		return s.refuseBy(byFailure, e) // Envoy resets the provider's stream, which may go on for long
	}
	if !x.answered(n, head.Status, hop) {
		return nil // the request's time is up: the deadline answers
	}
	s.attempt = n
	edit := s.clientHeaders(header, n, hop)
	mode := wire.Unread
	var md wire.Metadata
	switch {
	case m.EndOfStream():
		s.response = &responseReader{ended: true}
	case x.request.Endpoint == chat.Speech:
		s.response = &responseReader{} // sound: it is not read here
		x.outcome.complete(chat.Result{})
		x.attempts.began(n, time.Now())
	case compressed(header), s.marked && s.relayable(&hop) && isEventStream(header):
		s.response = &responseReader{hop: hop}
		x.caching.ticket.Unstorable()
		x.outcome.relay()
		x.attempts.relayed(n)
		md = x.metadata() // for Envoy's access log: none follows the body, which is not read here
	default:
		mode = s.read(head, hop, edit)
	}
	return wire.ReadResponse(edit, mode, md)
}

// read begins to read an answer and says how Envoy is to send it: piece by piece
// where it can be relayed, whole where it must be rewritten.
func (s *requestStream) read(head upstream.Head, hop routing.Hop, edit *wire.HeaderMutation) wire.BodyMode {
	x := s.exchange
	asked := x.requestFor(&hop)
	r := &responseReader{hop: hop, decoder: hop.Translator.Decoder(asked, head)}
	s.response = r
	stream := x.request.Stream
	if asked != x.request {
		r.merge = x.caching.batch
	}
	switch {
	case !hop.Translator.Relays(asked):
		r.whole = !stream
		s.translatedHeaders(edit, stream)
	case r.merge != nil:
		r.whole = true
		edit.Remove("content-length")
	case formOf(x.request, head.Header) == unstreamed:
		r.whole, r.form, stream = true, unstreamed, false
	case x.readFirst(head.Header) && (!stream || strings.HasPrefix(head.Header.Get("content-type"), "application/json")):
		r.whole, r.partial = true, head.Header.Get("content-length") == ""
	case stream:
		edit.Remove("content-length")
	}
	x.caching.keep(x.request, &hop, stream)
	s.capture(stream)
	switch {
	case r.partial:
		return wire.WholeOrPart
	case r.whole:
		return wire.Whole
	case !s.duplex(r):
		if stream {
			r.gap, r.last = x.attempts.gap(&hop), time.Now()
		}
		return wire.Streamed
	}
	s.watch(r, x.attempts.gap(&hop))
	return wire.Duplex
}

func statusOf(header upstream.Header) int {
	status, _ := strconv.Atoi(header.Get(":status"))
	return status
}

// translatedHeaders sets what a rewritten body is.
func (s *requestStream) translatedHeaders(edit *wire.HeaderMutation, stream bool) {
	edit.Remove("content-length")
	if stream {
		edit.Set("content-type", "text/event-stream; charset=utf-8")
		edit.Set("cache-control", "no-cache")
		return
	}
	edit.Set("content-type", "application/json")
}

// maxBrief bounds the blocking answers with a length that are read whole before their
// headers go on, in bytes. A server's error with status 200 is shorter.
const maxBrief = 64 << 10

// isEventStream reports whether an answer says that it is a stream of events.
func isEventStream(header upstream.Header) bool {
	return strings.HasPrefix(header.Get("content-type"), "text/event-stream")
}

// readFirst reports whether an answer that could be relayed is read before its
// headers go on, since it may be an error or empty in spite of its status: one that is
// short, and one without a content-length. Embeddings without one are read as they come:
// they often exceed what Envoy buffers, and what exceeds it is not counted.
func (x *exchange) readFirst(header upstream.Header) bool {
	if isEventStream(header) {
		return false
	}
	length := header.Get("content-length")
	if length == "" {
		return x.request.Endpoint != chat.Embeddings
	}
	n, err := strconv.ParseInt(length, 10, 64)
	return err == nil && n <= maxBrief
}

// mismatch says why a hop's 2xx answer cannot be the endpoint's, as far as its headers
// tell: a captive portal's or a proxy's HTML page, a stream that was not asked for,
// what is compressed and must be read, nothing at all. "": it can.
func (x *exchange) mismatch(header upstream.Header, hop *routing.Hop, ended bool) string {
	req := x.request
	kind, _, _ := strings.Cut(header.Get("content-type"), ";")
	kind = strings.TrimSpace(strings.ToLower(kind))
	switch {
	case ended:
		return "it has no body"
	case req.Endpoint == chat.Speech:
		return ""
	case kind == "text/html", kind == "application/xhtml+xml", kind == "text/event-stream" && !req.Stream:
		return "content-type " + kind
	case x.unreadable(header, hop):
		return "content-encoding " + header.Get("content-encoding") + ", which was not asked for"
	}
	return ""
}

// unreadable reports whether an answer is compressed, although we ask for none that is,
// and must be read: a stream, whose end is looked for, or what is rewritten. Another one
// reaches the client as it is.
func (x *exchange) unreadable(header upstream.Header, hop *routing.Hop) bool {
	if !compressed(header) {
		return false
	}
	asked := x.requestFor(hop)
	return x.request.Stream || asked != x.request || !hop.Translator.Relays(asked)
}
