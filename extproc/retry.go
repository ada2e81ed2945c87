package extproc

import (
	"strconv"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// retryStream serves the retry filter: one attempt that is not the first.
type retryStream struct {
	server   *Server
	exchange *exchange
}

func (s *retryStream) close()        {}
func (s *retryStream) of() *exchange { return s.exchange }

// handle translates the client's request afresh for the deployment of this
// attempt. When the exchange is unknown the attempt is stopped: the request that
// Envoy holds was written for another provider, with that one's key.
func (s *retryStream) handle(m wire.Message) *wire.Answer {
	if m.Phase() != wire.RequestHeaders {
		return nil
	}
	x := s.server.exchanges.find(m.ExchangeField(names.FieldID))
	if s.exchange = x; x == nil {
		e := localFailure(0, "")
		return wire.Immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_unknown_exchange")
	}
	header := m.Headers()
	n := max(m.AttributeNumber(names.AttributeAttempt), attemptOf(header))
	now, on := time.Now(), m.Attribute(names.AttributeDeployment)
	may := x.attempts.lost(n, now)
	hop, moved, ok := x.attempts.hopOn(n, on)
	if !ok || !may {
		e := localFailure(0, x.attempts.lastReason(n-1))
		return wire.Immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_end_of_plan")
	}
	if n == 1 && !moved {
		return wire.PassRequestHeaders(nil) // Envoy 1.36: stream 1 has translated it
	}
	chosen := hop.Choice() // by Envoy
	if moved && !x.moveReservation(n, chosen) || !x.reserve(n, []routing.Choice{chosen}) {
		e := limitReached()
		return wire.Immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_no_room")
	}
	if again, _, ok := x.attempts.hopOn(n, on); ok {
		hop = again // the stream that reserved first may have changed the plan
	}
	call, err := x.callFor(n, &hop)
	if err != nil {
		// This provider cannot do what the request asks. An answer from here is
		// final; it is the client's to know.
		e := asError(err)
		x.attempts.remember(e)
		return wire.Immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_unsupported")
	}
	x.attempts.begin(n, now)
	x.hooks.attemptBegins(n, &hop, x.request)
	edit := &wire.HeaderMutation{}
	x.providerHeaders(edit, hop.Deployment, call)
	x.nameSpan(edit, n)
	if x.held {
		edit.Set(names.HeaderOpening, names.Opening)
	}
	edit.Set(":authority", hop.Deployment.Authority()) // the route has been chosen
	edit.RemoveOthers(header, keepRequestHeader)
	return wire.LaterAttempt(edit, call)
}

func attemptOf(header upstream.Header) int {
	n, _ := strconv.Atoi(header.Get("x-envoy-attempt-count"))
	return n
}

// failureStream serves the failure filter: one answer whose status is not 2xx.
type failureStream struct {
	server   *Server
	exchange *exchange
	head     upstream.Head
	number   int
}

func (s *failureStream) close()        {}
func (s *failureStream) of() *exchange { return s.exchange }

func (s *failureStream) handle(m wire.Message) *wire.Answer {
	switch m.Phase() {
	case wire.ResponseHeaders:
		return s.headers(m)
	case wire.ResponseBody:
		edit, plan := s.judge(m.Body())
		return wire.ResponseChunk(nil, true, edit, plan)
	case wire.ResponseTrailers:
		return wire.PassResponseTrailers()
	}
	return nil
}

// headers notes status and header; the body says the rest. An answer whose body is
// not there, or is not read, is judged here.
func (s *failureStream) headers(m wire.Message) *wire.Answer {
	s.exchange = s.server.exchanges.find(m.ExchangeField(names.FieldID))
	header := m.Headers()
	s.head = upstream.Head{Status: statusOf(header), Header: header}
	s.number = m.AttributeNumber(names.AttributeAttempt)
	switch {
	case s.exchange == nil:
		return wire.PassUnread(nil)
	case !m.EndOfStream() && !tooLongToJudge(header):
		return wire.PassResponseHeaders(nil)
	}
	edit, plan := s.judge(nil)
	return wire.PassUnread(edit).WithMetadata(plan)
}

// tooLongToJudge reports whether an error says that it is longer than what is read
// of one: no JSON that is cut off tells more than the status, and Envoy need not
// hold it.
func tooLongToJudge(header upstream.Header) bool {
	n, err := strconv.ParseInt(header.Get("content-length"), 10, 64)
	return err == nil && n > maxJudged
}

// maxJudged is how much of an error body is read, in bytes.
const maxJudged = 64 << 10

// judge records the failed attempt and decides whether another follows. It
// returns the header edit that makes Envoy retry and, where Envoy can take one,
// the new plan; or nothing.
func (s *failureStream) judge(body []byte) (*wire.HeaderMutation, wire.Metadata) {
	x := s.exchange
	if x == nil {
		return nil, nil
	}
	now := time.Now()
	n := max(s.number, 1)
	x.attempts.lost(n, now)
	hop, ok := x.attempts.hop(n)
	if !ok {
		return nil, nil
	}
	e := hop.Translator.Failure(s.head, body[:min(len(body), maxJudged)])
	return x.judge(n, e, s.head, now)
}

// judge tells health and routing of the failure of attempt n, and makes the next
// one ready: the room in its deployment's limits and the request in its words.
func (x *exchange) judge(n int, e *upstream.Error, head upstream.Head, now time.Time) (*wire.HeaderMutation, wire.Metadata) {
	able := func(hop *routing.Hop) bool { return x.prepare(n+1, hop) } // an answer from the retry filter would be final
	next, planned := x.attempts.judge(n, e, failedWith(e, head), able, now)
	if !next.Retry || !x.reserveNext(n+1) {
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

// failedWith is the outcome of an attempt that a provider answered with an error.
func failedWith(e *upstream.Error, head upstream.Head) routing.Outcome {
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

// preparedCall is the call of an attempt that was translated when the one before it
// failed. It is safe for concurrent use.
type preparedCall struct {
	mu         sync.Mutex
	attempt    int
	deployment *routing.Deployment
	call       *upstream.Call
}

func (p *preparedCall) put(n int, d *routing.Deployment, call *upstream.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempt, p.deployment, p.call = n, d, call
}

// take returns the call that was put for attempt n on this deployment, once, or nil.
func (p *preparedCall) take(n int, d *routing.Deployment) *upstream.Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	call := p.call
	if p.attempt != n || p.deployment != d {
		call = nil
	}
	p.call = nil
	return call
}

// prepare translates for attempt n, on this hop; false: that provider cannot do what
// the request asks.
func (x *exchange) prepare(n int, hop *routing.Hop) bool {
	call, err := hop.Translator.Request(x.requestFor(hop))
	if err != nil {
		return false
	}
	x.prepared.put(n, hop.Deployment, call)
	return true
}

// callFor is the request in the words of a hop, for attempt n.
func (x *exchange) callFor(n int, hop *routing.Hop) (*upstream.Call, error) {
	if call := x.prepared.take(n, hop.Deployment); call != nil {
		return call, nil
	}
	return hop.Translator.Request(x.requestFor(hop))
}
