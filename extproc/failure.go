package extproc

import (
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// failureStream serves the failure filter: one answer whose status is not 2xx. Envoy
// shows its body whole. A provider may hold it open: after errorBodyTime the answer is
// judged by its headers, and this stream ends. Envoy then goes on with the headers as the
// first answer of this stream has edited them: that edit already asks for the next attempt
// of the plan, if the status is one that is retried.
type failureStream struct {
	judgement
	server  *Server
	relayed bool // another replica hands the messages on: its stream does not end with this one
	head    upstream.Head
	number  int
	hop     routing.Hop // of the attempt; zero: it is not known, and the answer passes
}

// errorBodyTime is how long the body of an error is waited for after its headers.
// Servers send both at once.
const errorBodyTime = 3 * time.Second

func (s *failureStream) handle(m wire.Message) *wire.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Phase() {
	case wire.ResponseHeaders:
		return s.headersLocked(m)
	case wire.ResponseBody:
		waited := s.timer != nil
		switch {
		case s.hop.Deployment == nil:
			return wire.ResponseChunk(nil, true, nil, nil)
		case !s.judgeLocked():
			return nil
		}
		edit, plan := s.judge(m.Body())
		if waited {
			edit = undoWait(edit)
		}
		return wire.ResponseChunk(nil, true, edit, plan)
	case wire.ResponseTrailers:
		return wire.PassResponseTrailers()
	}
	return nil
}

// headersLocked notes status and header and waits for the body. An answer without a body,
// or whose body is not read, is judged here.
func (s *failureStream) headersLocked(m wire.Message) *wire.Answer {
	s.exchange = s.server.exchanges.find(m.ExchangeField(names.FieldID))
	header := m.Headers()
	s.head = upstream.Head{Status: statusOf(header), Header: header}
	s.number = max(m.AttributeNumber(names.AttributeAttempt), 1)
	x := s.exchange
	if x == nil {
		return wire.PassUnread(nil)
	}
	x.attempts.lost(s.number, time.Now())
	if s.hop, _ = x.attempts.hop(s.number); s.hop.Deployment == nil {
		return wire.PassUnread(nil)
	}
	if !m.EndOfStream() && !tooLongToJudge(header) {
		return wire.PassResponseHeaders(s.waitLocked())
	}
	s.judgeLocked()
	edit, plan := s.judge(nil)
	return wire.PassUnread(edit).WithMetadata(plan)
}

// waitLocked begins to wait for the body. It returns the edit of the headers by which
// Envoy goes on if that does not come in time.
func (s *failureStream) waitLocked() *wire.HeaderMutation {
	if s.relayed {
		return nil
	}
	s.timer = s.server.guard.AfterFunc(errorBodyTime, "the body of an error", s.expire)
	edit := &wire.HeaderMutation{}
	edit.Set(names.HeaderOpening, names.OpeningFailed)
	_, follows := s.exchange.attempts.hop(s.number + 1)
	if e := s.hop.Translator.Failure(s.head, nil); follows && upstream.KindOf(e) != upstream.KindRequest {
		edit.Set(names.HeaderRetry, "1")
	}
	return edit
}

// undoWait returns edit, nil for none, with what removes the headers that waitLocked set:
// the body came in time.
func undoWait(edit *wire.HeaderMutation) *wire.HeaderMutation {
	if edit == nil {
		edit = &wire.HeaderMutation{}
	}
	edit.Remove(names.HeaderOpening)
	if !edit.IsSet(names.HeaderRetry) {
		edit.Remove(names.HeaderRetry)
	}
	return edit
}

// expire gives up on the body of an error.
func (s *failureStream) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.judgeLocked() {
		return
	}
	e := s.hop.Translator.Failure(s.head, nil)
	s.exchange.attempts.failedWith(s.number, e, failureOutcome(e, s.head), time.Now())
	close(s.expired)
}

// judge records the failed attempt and decides whether another follows. It
// returns the header edit that makes Envoy retry and, where Envoy can take one,
// the new plan; or nothing.
func (s *failureStream) judge(body []byte) (*wire.HeaderMutation, wire.Metadata) {
	e := s.hop.Translator.Failure(s.head, body[:min(len(body), maxJudged)])
	return s.exchange.judge(s.number, e, s.head, time.Now())
}

// tooLongToJudge reports whether an error says that it is longer than what is read
// of one: JSON that is cut off says no more than the status, and Envoy need not
// hold it.
func tooLongToJudge(header upstream.Header) bool {
	n, err := strconv.ParseInt(header.Get("content-length"), 10, 64)
	return err == nil && n > maxJudged
}

// maxJudged is how much of an error body is read, in bytes.
const maxJudged = 64 << 10

// judge records the failure of attempt n with routing and prepares the next one: a
// reservation in the limits of its deployment, and the translated request. It returns
// the header edit and the new plan as failureStream.judge does.
func (x *exchange) judge(n int, e *upstream.Error, head upstream.Head, now time.Time) (*wire.HeaderMutation, wire.Metadata) {
	able := func(hop *routing.Hop) bool { return x.prepare(n+1, hop) } // an answer from the retry filter would be final
	next, planned := x.attempts.judge(n, e, failureOutcome(e, head), able, now)
	if !next.Retry || x.reserveNext(n+1) != nil {
		return nil, nil
	}
	hop, ok := x.attempts.hop(n + 1)
	fixed := planned == nil
	if !ok || !fixed && hop.Deployment != planned && !x.prepare(n+1, &hop) {
		return nil, nil
	}
	edit := &wire.HeaderMutation{}
	edit.Set(names.HeaderRetry, "1")
	if next.Pause > 0 && (fixed || hop.Deployment == planned) { // it is for that deployment
		edit.Set(names.HeaderBackoff, strconv.Itoa(int(next.Pause/time.Second)))
	}
	if fixed {
		return edit, nil
	}
	return edit, x.attempts.planMetadata()
}

// failureOutcome is the outcome of an attempt that a provider answered with an error.
func failureOutcome(e *upstream.Error, head upstream.Head) routing.Outcome {
	return routing.Outcome{
		Failed: true, Kind: upstream.KindOf(e), Status: head.Status, RetryAfter: e.RetryAfter,
		Reason: reasonOf(head.Status, e),
	}
}

// reasonOf says in a few words why an attempt failed: the provider's status and the
// error's type, and its kind where the client gets another status.
func reasonOf(status int, e *upstream.Error) string {
	reason := strconv.Itoa(status) + " " + e.Type
	if status != e.Status {
		reason += " (" + upstream.KindOf(e).String() + ")"
	}
	return reason
}
