package extproc

import (
	"net/http"
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
	var err error
	if moved {
		err = x.moveReservation(n, chosen)
	}
	if err == nil {
		err = x.reserve(n, []routing.Choice{chosen})
	}
	if err != nil {
		return s.refuseByLimits(err)
	}
	if again, _, ok := x.attempts.hopOn(n, on); ok {
		hop = again // the stream that reserved first may have changed the plan
	}
	if hop.Deployment.MockResponse != nil {
		x.attempts.begin(n, now)
		return wire.Immediate(http.StatusServiceUnavailable, nil, nil, mockDetails)
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

// refuseByLimits stops the request at the limits of the deployment that would be next. The
// client gets this error if no provider has answered with one before.
func (s *retryStream) refuseByLimits(err error) *wire.Answer {
	e := limitReached(err)
	if s.exchange.attempts.rememberFirst(e) {
		s.exchange.reservation.noteRefusal(err)
	}
	return wire.Immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_no_room")
}

func attemptOf(header upstream.Header) int {
	n, _ := strconv.Atoi(header.Get("x-envoy-attempt-count"))
	return n
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

// callFor is the request translated for a hop, for attempt n.
func (x *exchange) callFor(n int, hop *routing.Hop) (*upstream.Call, error) {
	if call := x.prepared.take(n, hop.Deployment); call != nil {
		return call, nil
	}
	return hop.Translator.Request(x.requestFor(hop))
}
