package extproc

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// requestStream serves stream 1 of a request: the request filter, on the way in
// and on the way back.
type requestStream struct {
	server   *Server
	ctx      context.Context // ends with the stream
	out      *wire.Sender
	encoding planEncoding
	log      string          // what the Envoy's access log reports: see names.KeyLog
	opens    bool            // the Envoy has the opening filter: see names.KeyOpening
	bounded  bool            // the clusters of the Envoy bound the attempts: see names.KeyTimeouts
	marked   bool            // the Envoy was told to read the usage of a stream
	exchange *exchange       // nil until the headers came, and for what is answered without one
	header   upstream.Header // the client's
	shared   upstream.Header // what answers say to the client's page; nil: it has none, or one that may not read them
	response *responseReader // nil until the response headers came
	attempt  int             // whose answer that is
	timer    *time.Timer     // of the request's deadline; nil: none
	extend   sync.Once       // the one extension of time that a message gets
}

func (s *requestStream) handle(m wire.Message) *wire.Answer {
	switch m.Phase() {
	case wire.RequestHeaders:
		return s.requestHeaders(m)
	case wire.RequestBody:
		return s.requestBody(m.Body())
	case wire.ResponseHeaders:
		return s.responseHeaders(m)
	case wire.ResponseBody:
		return s.responseBody(m)
	case wire.ResponseTrailers:
		return s.responseTrailers()
	}
	return nil
}

func (s *requestStream) of() *exchange { return s.exchange }

// close gives everything back, whatever of it panics.
func (s *requestStream) close() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.response != nil {
		s.response.stall.close()
		s.response.unjudged.close()
	}
	x := s.exchange
	if x == nil {
		return
	}
	guard := s.server.guard
	s.server.exchanges.drop(x)
	guard.Run("the end of an answer", s.endComplete)
	s.noteIdle()
	guard.Run("the text of an answer", x.capture.end)
	guard.Run("the tokens of an answer", s.countUsage)
	guard.Run("the cache", x.caching.ticket.Leave)
	x.finish(time.Now())
	if o := x.outcome.load(); s.log != "" && o.served != nil && o.ended == notEnded { // the rest is Envoy's to say
		s.server.unsettled.settle(x.id, x.settle)
		return
	}
	s.server.unsettled.forget(x.id)
	x.settle(nil)
}

// requestHeaders answers what needs no body and makes the exchange for the
// rest. A request whose headers are all there is (end_of_stream) gets no body
// message and would run on without a plan: it is always answered here.
func (s *requestStream) requestHeaders(m wire.Message) *wire.Answer {
	s.header = m.Headers()
	p := parsePath(s.header.Get(":path"))
	g := s.server.runtime.acquire()
	x := newExchange(g, p, time.Now())
	s.exchange = x
	x.header, x.caller = s.header, g.tenancy.caller(s.header)
	s.traced()
	s.share(g)
	if answer := s.withoutBody(g, p, m.EndOfStream()); answer != nil {
		return answer
	}
	return wire.PassRequestHeaders(s.server.names(x))
}

// withoutBody returns the answer to a request that needs no body, or nil.
func (s *requestStream) withoutBody(g *Snapshot, p apiPath, ended bool) *wire.Answer {
	if answer := s.preflight(p); answer != nil {
		return answer
	}
	if p.action == unknownPath {
		s.exchange.unauthenticated = g.auth.check(s.header) != nil
		return s.refuse(unknownURL(s.header.Get(":method"), s.header.Get(":path")))
	}
	method := s.header.Get(":method")
	if method != p.method() && (method != "HEAD" || p.method() != "GET") {
		s.exchange.unauthenticated = g.auth.check(s.header) != nil
		return s.refuse(wrongMethod(method, p.method()))
	}
	if p.action == liveness || p.action == readiness {
		return s.health(g, p)
	}
	e := g.auth.check(s.header)
	if e == nil {
		e = g.refuseForeign(s.header)
	}
	if e != nil {
		s.exchange.unauthenticated = true
		return s.refuse(e)
	}
	if err := s.checkNames(g, p); err != nil {
		return s.refuse(asError(err))
	}
	switch {
	case p.action == listModels:
		return s.answer(http.StatusOK, g.ModelList())
	case p.action == showModel:
		return s.showModel(g, p.model)
	case g.runtime.refuse.Load():
		return s.refuse(drainingError())
	case ended:
		return s.refuse(upstream.BadRequest("", "the request has no body: send a JSON object"))
	case tooLong(s.header, g.maxBody):
		return s.refuse(bodyTooLarge(g.maxBody))
	case compressed(s.header):
		return s.refuse(compressedBody(s.header.Get("content-encoding")))
	}
	return nil
}

// checkNames refuses what the request's headers name in a way that nothing can
// pass on: the model in its path, the caller.
func (s *requestStream) checkNames(g *Snapshot, p apiPath) error {
	if p.model != "" {
		if err := upstream.CheckName("model", p.model); err != nil {
			return err
		}
	}
	return g.tenancy.check(s.header)
}

func tooLong(header upstream.Header, limit int64) bool {
	n, err := strconv.ParseInt(header.Get("content-length"), 10, 64)
	return err == nil && n > limit
}

func compressed(header upstream.Header) bool {
	coding := header.Get("content-encoding")
	return coding != "" && !strings.EqualFold(coding, "identity")
}

// requestBody parses, plans and translates.
func (s *requestStream) requestBody(body []byte) *wire.Answer {
	x := s.exchange
	if x == nil {
		return nil
	}
	if int64(len(body)) > x.snapshot.maxBody { // without a content-length; Envoys before 1.38 let twice as much pass
		return s.refuse(bodyTooLarge(x.snapshot.maxBody))
	}
	if len(strings.TrimSpace(string(body[:min(len(body), 64)]))) == 0 {
		return s.refuse(upstream.BadRequest("", "the request has no body: send a JSON object"))
	}
	request, err := chat.Parse(x.path.endpoint, body, x.path.model)
	if err != nil {
		return s.refuse(asError(err))
	}
	x.request = request
	call, err := readCall(request, s.header)
	if err != nil {
		return s.refuse(asError(err))
	}
	call.Received, x.tags = x.started, call.Tags
	call.StreamClusters = s.bounded
	x.hooks.begin(x.header, request)
	if answer := s.askCache(call); answer != nil {
		return answer
	}
	plan, err := s.encoding.plan(x.snapshot.router, call)
	if err != nil {
		x.reservation.noteRefusal(err)
		return s.refuse(asError(err))
	}
	if err := s.admit(plan, call); err != nil {
		x.reservation.noteRefusal(err)
		return s.refuse(limitError(err))
	}
	x.attempts.follow(plan)
	x.steps.planned(x.request.Model, plan)
	return s.firstAttempt(plan)
}

// firstAttempt translates for the first hop. When that provider cannot do what
// the request asks, the hops after it are tried in its place before any byte
// leaves.
func (s *requestStream) firstAttempt(plan *routing.Plan) *wire.Answer {
	x := s.exchange
	var refused *upstream.Error
	for len(plan.Hops) > 0 {
		hop := plan.Hops[0]
		if hop.Deployment.MockResponse != nil {
			return s.mock(hop, 0)
		}
		call, err := hop.Translator.Request(x.requestFor(&hop))
		if err == nil {
			x.attempts.begin(1, time.Now())
			x.hooks.attemptBegins(1, &hop, x.request)
			edit, md := s.attemptHeaders(plan, &hop, call), s.encoding.metadata(plan)
			s.startDeadline(plan)
			s.server.exchanges.put(x) // from here on the other filters' streams may change it
			if s.log != "" {
				s.server.unsettled.expect(x.id) // the entry may come before the answer's headers, by another connection
			}
			if chat.Untouched(x.request.Body.Source(), call.Body) {
				return wire.FirstAttempt(edit, nil, md)
			}
			return wire.FirstAttempt(edit, call, md)
		}
		refused = asError(err)
		if plan.Fixed {
			break
		}
		plan.Hops = plan.Hops[1:]
		if len(plan.Hops) == 0 {
			break
		}
		if err := x.reserveFirstAgain(plan); err != nil {
			x.reservation.noteRefusal(err)
			return s.refuse(limitReached(err))
		}
	}
	return s.refuse(refused)
}

// attemptHeaders replaces the client's headers with those of the first attempt
// and tells Envoy how often and how long it may try.
func (s *requestStream) attemptHeaders(plan *routing.Plan, hop *routing.Hop, call *upstream.Call) *wire.HeaderMutation {
	edit := &wire.HeaderMutation{Present: s.header}
	s.exchange.providerHeaders(edit, hop.Deployment, call)
	s.exchange.nameSpan(edit, 1)
	// The route makes it :authority. Were that changed by the filter itself, Envoy
	// would look for the route among those of the provider's host name.
	edit.Set(names.HeaderHost, hop.Deployment.Authority())
	edit.Set("content-length", strconv.Itoa(call.Size()))
	edit.Set("x-envoy-max-retries", strconv.Itoa(max(plan.Attempts, len(plan.Hops))-1))
	if s.exchange.held = s.mayFailOver(plan); s.exchange.held {
		edit.Set(names.HeaderOpening, names.Opening)
	}
	s.attemptTimeouts(edit, plan)
	if s.marked = s.relayable(hop); s.marked {
		edit.Set(names.HeaderUsage, names.UsageByEnvoy)
	}
	if !plan.Deadline.IsZero() && !s.exchange.request.Stream { // it would cut a running stream
		edit.Set("x-envoy-upstream-rq-timeout-ms", milliseconds(time.Until(plan.Deadline)))
	}
	s.encoding.headers(edit, plan)
	edit.RemoveOthers(s.header, keepRequestHeader)
	return edit
}

// attemptTimeouts tells Envoy how long an attempt may take, as far as the clusters of
// the deployments do not.
func (s *requestStream) attemptTimeouts(edit *wire.HeaderMutation, plan *routing.Plan) {
	switch {
	case plan.Timeout <= 0:
	case plan.ClientTimeout:
		edit.Set("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds(plan.Timeout))
	default:
		// The route of this idle time bounds the first byte too. Envoy's
		// per-try timer must not be set beside it: once that has fired, though
		// it is ignored in a running answer, no stall is noticed any more.
		edit.Set(names.HeaderIdle, milliseconds(plan.Timeout))
	}
	first, stream := plan.FirstToken, s.exchange.request.Stream
	if first > 0 && stream && s.exchange.held && (plan.Timeout <= 0 || first < plan.Timeout) {
		// It bounds the headers too, which the opening filter holds back until the first
		// content. Stalls are noticed here: such a stream is never unread.
		edit.Set("x-envoy-upstream-rq-per-try-timeout-ms", milliseconds(first))
	}
	// The clusters bound a whole attempt. 0 lifts that: from what is sent on piece by
	// piece, which it would cut, and from the time that the client gives, for the first byte.
	if request := s.exchange.request; plan.ClientTimeout || request.Stream || request.Endpoint == chat.Speech {
		edit.Set("x-envoy-upstream-stream-duration-ms", "0")
	}
}

// providerHeaders puts the headers of an attempt: all that the call says, and what
// the provider takes of the client's. Of what else is there nothing may stay but
// the allow-list: the caller drops it when it has put its own. What an earlier
// attempt set is still there on a later one.
func (x *exchange) providerHeaders(edit *wire.HeaderMutation, d *routing.Deployment, call *upstream.Call) {
	edit.Set(":method", call.Method)
	edit.Set(":path", call.Path)
	edit.Set(":scheme", d.Scheme())
	edit.Set("accept-encoding", "identity") // neither we nor Envoy's usage filters read gzip
	edit.Set("user-agent", "isthmus")
	edit.SetAll(call.HeaderWith(x.header))
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }
