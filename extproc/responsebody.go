package extproc

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// responseBody passes one piece of the body through the decoder.
func (s *requestStream) responseBody(m wire.Message) *wire.Answer {
	r := s.response
	if r != nil && r.unjudged != nil && !r.ended {
		return s.lastBody(m.Body())
	}
	if r == nil || r.decoder == nil {
		return wire.ResponseChunk(nil, true, nil, nil)
	}
	if r.stall != nil {
		if !r.stall.begin() {
			return nil
		}
		defer r.stall.mu.Unlock()
	}
	if r.partial && !m.EndOfStream() && !jsontext.Value(m.Body()).IsValid() { // it has no trailers behind it: it goes on
		return s.longBody(m.Body())
	}
	s.detectStream(m.Body())
	last := m.EndOfStream() || r.whole
	out := r.decoder.Feed(m.Body(), last)
	if !r.whole {
		s.begin()
		s.pass(out)
	}
	switch {
	case !last:
		return s.piece(m.Body(), out)
	case r.whole:
		return s.wholeBody(m.Body(), out)
	}
	s.end(r.decoder.Result())
	if r.stall != nil {
		r.stall.endLocked()
		return wire.DuplexEnd(out, s.exchange.metadata())
	}
	return wire.ResponseChunk(out, chat.Untouched(m.Body(), out), nil, s.exchange.metadata())
}

// piece answers a piece of a stream, which is not the last, by out, which is the
// decoder's until the next call of it.
func (s *requestStream) piece(body, out []byte) *wire.Answer {
	r := s.response
	if r.stall == nil {
		if r.gap > 0 {
			r.last = time.Now()
		}
		untouched := chat.Untouched(body, out)
		if len(out) >= wire.LargeBody && !untouched {
			out = slices.Clone(out) // the codec sends it later
		}
		return wire.ResponseChunk(out, untouched, nil, nil)
	}
	if len(out) > 0 {
		// Sent here, under the lock of the stall, since out is only valid until the timer
		// calls the decoder.
		_ = s.out.Send(wire.DuplexPiece(out)) // when the stream is gone, the next message finds it
	}
	r.stall.rearmLocked(r.decoder)
	return nil
}

// capture begins to keep the answer, if callbacks want it.
func (s *requestStream) capture(stream bool) {
	if x := s.exchange; x.snapshot.wants.Records() {
		x.capture.begin(x.request, stream, x.caching.recorder)
	}
}

// pass gives the bytes that go to the client to the capture, the hooks and the cache.
func (s *requestStream) pass(out []byte) {
	s.response.sent += int64(len(out))
	s.exchange.capture.feed(out)
	if s.response.form != unstreamed {
		s.notifyHooks(out)
	}
	s.exchange.caching.feed(out)
}

// notifyHooks gives the hooks the next bytes of a stream that goes to the client.
func (s *requestStream) notifyHooks(out []byte) {
	x := s.exchange
	if !x.request.Stream || !x.snapshot.wants.StreamEvent {
		return
	}
	o := x.outcome.load()
	x.hooks.streamed(s.attempt, o.origin(), out)
}

// end notes that the answer was read to its end, and what it was.
func (s *requestStream) end(result chat.Result) {
	s.exchange.outcome.complete(result)
	s.ended(result)
}

// noteIdle notes whether, of an answer that closes before its end, nothing had come for as
// long as its attempt allows.
func (s *requestStream) noteIdle() {
	if r := s.response; r != nil && !r.ended && r.gap > 0 && time.Since(r.last) >= r.gap-timerSlack(r.gap) {
		s.exchange.outcome.idled()
	}
}

// endComplete ends an answer of which only the end of the connection has not come: one
// that breaks off after its last event, or its error, is judged by what was read. Whether
// the client has the last event too, only Envoy knows.
func (s *requestStream) endComplete() {
	r := s.response
	switch {
	case r == nil, r.decoder == nil, r.ended, r.whole:
	case r.decoder.Failed(), r.decoder.Complete() && s.log == "":
		s.end(r.decoder.Result())
	case r.decoder.Complete():
		result := r.decoder.Result()
		s.exchange.outcome.completeAt(result, r.sent)
		s.ended(result)
	}
}

// ended closes what was kept of the answer for the callbacks and the cache.
func (s *requestStream) ended(result chat.Result) {
	r := s.response
	r.ended = true
	s.exchange.capture.end()
	s.exchange.caching.store(&r.hop, result)
}

// wholeBody answers the one message of an answer that was read whole, body, and
// may have been rewritten to out. It may be an error, or have become one: then its
// status changes too.
func (s *requestStream) wholeBody(body, out []byte) *wire.Answer {
	r, x := s.response, s.exchange
	result := r.decoder.Result()
	if result.Failure == nil && r.form != mislabeled && !looksComplete(x.request, out) {
		result.Failure = chat.Unreadable()
	}
	if result.Failure == nil && r.merge != nil {
		merged, err := r.merge.Merge(out)
		if err != nil {
			result.Failure = &upstream.Error{
				Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer",
				Message: "the provider's answer is not what was asked for",
			}
		}
		out = merged
	}
	edit := &wire.HeaderMutation{}
	if e := result.Failure; e != nil && !result.FailureInBody {
		out = e.JSON()
		edit.Set(":status", strconv.Itoa(e.Status))
		edit.Set("content-type", "application/json")
		r.ended = true
		x.outcome.replaced(result)
		if !x.request.Stream {
			x.snapshot.router.NoteErrorBehind200(&r.hop)
		}
		x.caching.ticket.Failed()
	} else {
		s.begin()
		s.pass(out)
		s.end(result)
		if out = s.inForm(out, edit); chat.Untouched(body, out) {
			return wire.ResponseChunk(nil, true, edit, x.metadata())
		}
	}
	edit.Set("content-length", strconv.Itoa(len(out)))
	return wire.ResponseChunk(out, false, edit, x.metadata())
}

// longBody answers the part of a long answer that Envoy can hold. The rest passes without
// a message: what it has used is estimated.
func (s *requestStream) longBody(body []byte) *wire.Answer {
	r := s.response
	r.decoder.Feed(body, false)
	r.decoder = nil
	s.exchange.caching.ticket.Unstorable()
	s.exchange.attempts.relayed(s.attempt)
	s.exchange.outcome.relay()
	return wire.ResponseChunk(nil, true, nil, s.exchange.metadata())
}

// looksComplete reports whether a whole answer has the outline of what the endpoint
// answers with: an object that does not break off.
func looksComplete(req *chat.Request, body []byte) bool {
	switch req.Endpoint {
	case chat.Completions, chat.TextCompletions, chat.Embeddings:
		body = bytes.TrimSpace(body)
		return len(body) > 1 && body[0] == '{' && body[len(body)-1] == '}'
	}
	return len(bytes.TrimSpace(body)) > 0
}

// responseTrailers ends a body that trailers follow.
func (s *requestStream) responseTrailers() *wire.Answer {
	answer, r := wire.PassResponseTrailers(), s.response
	if r == nil || r.decoder == nil {
		return answer
	}
	if r.stall != nil {
		if !r.stall.begin() {
			return nil
		}
		defer r.stall.mu.Unlock()
		r.stall.endLocked()
	}
	if r.ended {
		return answer
	}
	out := r.decoder.Feed(nil, true)
	s.begin()
	s.pass(out)
	if r.stall != nil && len(out) > 0 {
		_ = s.out.Send(wire.DuplexPiece(out)) // when the stream is gone, the next answer finds it
	}
	s.end(r.decoder.Result())
	return answer.WithMetadata(s.exchange.metadata())
}

// metadata is what Envoy's access log and rate limits may know of the exchange.
func (x *exchange) metadata() wire.Metadata {
	o := x.outcome.load()
	fields := make(wire.Metadata, 0, 384).Text(names.FieldID, x.id).Number(names.FieldAttempts, float64(x.attempts.count()))
	if x.request != nil {
		fields = fields.Text(names.FieldModel, x.request.Model)
	}
	if hop := o.served; hop != nil {
		fields = fields.Text(names.FieldDeployment, hop.Deployment.ID).Text(names.FieldProvider, hop.Deployment.Provider).
			Text(names.FieldModelGroup, hop.Group).Text(names.FieldUpstreamModel, hop.Model)
	}
	if o.relayed {
		fields = fields.Text(names.FieldUnread, names.Unread)
	}
	if r := o.result; r.HasUsage {
		fields = fields.Number(names.FieldPromptTokens, float64(r.Usage.Prompt)).Number(names.FieldCompletionTokens, float64(r.Usage.Completion)).
			Number(names.FieldTotalTokens, float64(r.Usage.Total))
	}
	return make(wire.Metadata, 0, len(fields)+24).Object(names.NamespaceExchange, fields)
}
