package extproc

import (
	"net/http"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// A stream may fail after its 2xx headers and before its first content: with an error
// as its first event, or by ending, or by sending nothing. Until then the client has
// received nothing: the opening filter holds headers and chunks back (decision
// 017), a decoder of the attempt reads them here, and what has failed becomes an
// answer that is not 2xx, after which another attempt may follow. Stream 1 reads what
// passes from its beginning.

// openingStream serves the opening filter: one attempt, from its request, which is let
// through at once, to the first content of its answer.
type openingStream struct {
	judgement // its timer is that of ttft_timeout
	server    *Server
	out       *wire.Sender
	number    int
	head      upstream.Head
	hop       routing.Hop
	decoder   chat.Decoder // nil until the headers came
	held      int          // bytes of the body, of which Envoy keeps a copy
}

// maxHeld is how much of an answer is held back, in bytes. A longer opening passes.
const maxHeld = 64 << 10

func newOpeningStream(s *Server, out *wire.Sender) *openingStream {
	return &openingStream{server: s, out: out, judgement: newJudgement()}
}

func (s *openingStream) handle(m wire.Message) *wire.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.judged:
		return nil
	case m.Phase() == wire.RequestHeaders:
		return s.beginLocked(m)
	case m.Phase() == wire.ResponseHeaders:
		return s.headersLocked(m)
	case m.Phase() == wire.ResponseBody:
		return s.bodyLocked(m.Body(), m.EndOfStream())
	}
	return nil
}

// beginLocked lets the attempt go to its provider.
func (s *openingStream) beginLocked(m wire.Message) *wire.Answer {
	if s.exchange = s.server.exchanges.find(m.ExchangeField(names.FieldID)); s.exchange == nil {
		return s.passLocked()
	}
	return wire.PassRequestHeaders(nil)
}

// headersLocked begins to hold an answer back. One that is not 2xx is the failure
// filter's, and has been judged.
func (s *openingStream) headersLocked(m wire.Message) *wire.Answer {
	x, header := s.exchange, m.Headers()
	s.number = max(m.AttributeNumber(names.AttributeAttempt), 1)
	s.head = upstream.Head{Status: statusOf(header), Header: header}
	if s.head.Status < 200 || s.head.Status > 299 {
		return s.passLocked()
	}
	now := time.Now()
	x.attempts.lost(s.number, now)
	hop, ok := x.attempts.hop(s.number)
	if s.hop = hop; !ok {
		return s.passLocked()
	}
	if why := x.mismatch(header, &hop, m.EndOfStream()); why != "" {
		return s.failLocked(invalidAnswer(why))
	}
	if !x.request.Stream && !x.readFirst(header) {
		return s.passLocked() // it is too long to be an error
	}
	s.decoder = hop.Translator.Decoder(x.requestFor(&hop), s.head)
	if limit := hop.Deployment.TTFTTimeout; limit > 0 && x.request.Stream {
		left := limit - now.Sub(x.attempts.beganAt(s.number, now))
		s.timer = s.server.guard.AfterFunc(max(left, 0), "the time to a first token", s.expire)
	}
	return nil
}

// bodyLocked reads a chunk of an answer that is held back.
func (s *openingStream) bodyLocked(chunk []byte, last bool) *wire.Answer {
	s.held += len(chunk)
	s.decoder.Feed(chunk, last)
	switch {
	case s.decoder.Failed():
		return s.failLocked(s.decoder.Result().Failure)
	case s.decoder.Started():
		return s.passLocked()
	case last:
		if e := s.decoder.Result().Failure; e != nil {
			return s.failLocked(e)
		}
		return s.failLocked(chat.Incomplete())
	case s.held > maxHeld:
		return s.passLocked()
	}
	return nil
}

// passLocked lets the answer pass: Envoy has all of it.
func (s *openingStream) passLocked() *wire.Answer {
	s.judgeLocked()
	return wire.EndStream()
}

// failLocked turns the answer into the failure e; nil means that the attempt has been judged
// already.
func (s *openingStream) failLocked(e *upstream.Error) *wire.Answer {
	if !s.judgeLocked() {
		return nil
	}
	if e.Status < 400 || e.Status > 599 {
		failure := *e
		failure.Status = http.StatusBadGateway
		e = &failure
	}
	if !s.exchange.request.Stream {
		s.exchange.snapshot.router.NoteErrorBehind200(&s.hop)
	}
	head := s.head
	head.Status = e.Status
	edit, plan := s.exchange.judge(s.number, e, head, time.Now())
	if edit == nil {
		edit = &wire.HeaderMutation{}
	}
	edit.Set(":status", strconv.Itoa(e.Status))
	edit.Set(names.HeaderOpening, names.OpeningFailed)
	return wire.PassResponseHeaders(edit).WithMetadata(plan).Last()
}

// expire fails an attempt without content within its ttft_timeout.
func (s *openingStream) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.failLocked(firstTokenTimeout())
	if answer == nil {
		return
	}
	_ = s.out.Send(answer) // when the stream is gone, so is the attempt
	close(s.expired)
}

// firstTokenTimeout is the error of an attempt without content within its ttft_timeout.
func firstTokenTimeout() *upstream.Error {
	return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "upstream_timeout",
		Message: "the provider sent no first token in time"}
}

// invalidAnswer is the error of a 2xx answer that cannot be the endpoint's.
func invalidAnswer(why string) *upstream.Error {
	return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer",
		Message: "the provider's answer is not of this API (" + why + ")"}
}

// mayFailOver reports whether the answers to the request pass the opening filter: a
// stream that another attempt could answer instead, or whose first token has a
// ttft_timeout; and a blocking answer, if a deployment has lately sent errors behind 200.
func (s *requestStream) mayFailOver(plan *routing.Plan) bool {
	x := s.exchange
	if !s.opens || !x.snapshot.streamFailover {
		return false
	}
	if !x.request.Stream {
		return x.request.Endpoint != chat.Speech && x.snapshot.router.ExpectsErrorBehind200(plan) && x.snapshot.router.MayFollow(plan)
	}
	switch x.request.Endpoint {
	case chat.Completions, chat.TextCompletions, chat.Responses:
		return plan.Hops[0].Deployment.TTFTTimeout > 0 || x.snapshot.router.MayFollow(plan)
	}
	return false
}

// beganAt is when attempt n began; now when it has not.
func (a *attempts) beganAt(n int, now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.attemptLocked(n); !at.began.IsZero() {
		return at.began
	}
	return now
}
