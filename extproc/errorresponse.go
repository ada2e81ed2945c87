package extproc

import (
	"strconv"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// The final answer when it is an error: the client gets it in OpenAI's shape. What an
// attempt's failure leads to before that is in failure.go.

// errorAnswer gives the client the error of the last attempt, in OpenAI's shape.
func (s *requestStream) errorAnswer(header upstream.Header, n int, details string) *wire.Answer {
	x := s.exchange
	if hop, ok := x.attempts.hop(n); ok && hop.Deployment.MockResponse != nil &&
		(details == mockDetails || strings.HasPrefix(details, noHost)) { // it is never called, and may have no host
		s.response = &responseReader{ended: true}
		return s.mock(hop, n)
	}
	now := time.Now()
	last := x.attempts.remembered()
	if !strings.HasPrefix(details, ownDetails) {
		x.attempts.failed(n, 0, details, now)
	}
	local := localFailure(statusOf(header), details)
	if _, planned := x.attempts.hop(n); !planned && n > 1 {
		// Envoy's details name the end of the plan; the client gets the reason of the last attempt.
		local = localFailure(0, x.attempts.lastReason(n-1))
	} else if x.attempts.lastReason(n) == timedAnswer {
		local = localFailure(0, timedAnswer) // by its cluster's timer, of which Envoy knows the reset alone
	}
	if last == nil {
		last = local
	}
	if header.Get(names.HeaderOpening) == names.OpeningFailed {
		s.response = &responseReader{ended: true}
		return s.refuseBy(byFailure, last) // Envoy resets the provider's stream, which may go on for long
	}
	return s.failure(header, last)
}

// ownDetails begins the details of the answers that isthmus makes itself.
const ownDetails = "isthmus_"

// failure replaces the answer by an error of ours; nil means that the client has been
// answered already.
func (s *requestStream) failure(present upstream.Header, e *upstream.Error) *wire.Answer {
	x := s.exchange
	s.response = &responseReader{ended: true}
	if !x.outcome.refused(byFailure, e) {
		return nil
	}
	body := e.JSON()
	edit := &wire.HeaderMutation{}
	edit.Set(":status", strconv.Itoa(e.Status))
	edit.SetAll(errorHeaders(e))
	edit.SetAll(x.publicHeaders(0, nil))
	edit.Set("content-length", strconv.Itoa(len(body)))
	for _, f := range present {
		if !edit.IsSet(f.Name) {
			edit.Remove(f.Name)
		}
	}
	return wire.ReplaceResponse(edit, body, x.metadata())
}

// unjudged is a provider's error that no failure filter has seen. Envoy 1.36 has
// none (it crashes when an upstream filter asks for a retry) and retries by
// status codes; what it has given up on is read and judged here, once, in the
// response phase.
type unjudged struct {
	attempt int
	hop     routing.Hop
	head    upstream.Head
	timer   *time.Timer // of the body, see errorBodyTime; nil: it is not waited for
}

// close ends the wait for the body; of a nil unjudged there is none.
func (u *unjudged) close() {
	if u != nil && u.timer != nil {
		u.timer.Stop()
	}
}

// lastAnswer judges the headers of such an error, or asks for its body.
func (s *requestStream) lastAnswer(m wire.Message, header upstream.Header, u unjudged) *wire.Answer {
	u.head = upstream.Head{Status: statusOf(header), Header: header}
	if m.EndOfStream() {
		return s.failure(header, s.judgeLast(&u, nil))
	}
	edit := &wire.HeaderMutation{}
	for _, f := range header {
		if f.Name != ":status" {
			edit.Remove(f.Name)
		}
	}
	s.response = &responseReader{whole: true, unjudged: &u}
	u.timer = s.server.guard.AfterFunc(errorBodyTime, "the body of an error", func() { s.bodyLate(&u) })
	return wire.ReadResponse(edit, wire.Whole, nil)
}

// bodyLate answers with such an error whose body has not come in errorBodyTime, judged by
// its headers.
func (s *requestStream) bodyLate(u *unjudged) {
	e := s.judgeLast(u, nil)
	if s.exchange.outcome.refused(byFailure, e) {
		_ = s.out.Send(s.deadlineAnswer(e)) // when the stream is gone, so is the request
	}
}

// lastBody replaces the body of such an error by ours.
func (s *requestStream) lastBody(body []byte) *wire.Answer {
	r := s.response
	r.ended = true
	r.unjudged.close()
	e := s.judgeLast(r.unjudged, body)
	if !s.exchange.outcome.refused(byFailure, e) {
		return nil
	}
	out := e.JSON()
	edit := &wire.HeaderMutation{}
	edit.Set(":status", strconv.Itoa(e.Status))
	edit.SetAll(errorHeaders(e))
	edit.SetAll(s.exchange.publicHeaders(0, nil))
	edit.Set("content-length", strconv.Itoa(len(out)))
	return wire.ResponseChunk(out, false, edit, s.exchange.metadata())
}

// judgeLast records the failure with routing. No attempt follows, whatever routing plans:
// none is prepared, and nothing reserved for it.
func (s *requestStream) judgeLast(u *unjudged, body []byte) *upstream.Error {
	e := u.hop.Translator.Failure(u.head, body[:min(len(body), maxJudged)])
	none := func(*routing.Hop) bool { return false }
	s.exchange.attempts.judge(u.attempt, e, failureOutcome(e, u.head), none, time.Now())
	return e
}
