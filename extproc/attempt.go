package extproc

import (
	"net/http"
	"strconv"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// retryStream serves the retry filter: one attempt that is not the first.
type retryStream struct{ server *Server }

func (s *retryStream) close() {}

// attributeDeployment is the id of the deployment whose host Envoy has chosen;
// only Envoys that walk a fixed order are asked for it.
const attributeDeployment = "xds.upstream_host_metadata.filter_metadata['isthmus']['deployment']"

// handle translates the client's request afresh for the deployment of this
// attempt. When the exchange is unknown the attempt is stopped: the request that
// Envoy holds was written for another provider, with that one's key.
func (s *retryStream) handle(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	if m.GetRequestHeaders() == nil {
		return nil
	}
	x := s.server.exchanges.find(exchangeID(m))
	if x == nil {
		e := localFailure(0, "")
		return immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_unknown_exchange")
	}
	header := readHeader(m.GetRequestHeaders().GetHeaders())
	a := attributes(m.GetAttributes())
	n := max(a.number("upstream.request_attempt_count"), attemptOf(header))
	now := time.Now()
	may := x.lostBefore(n, now)
	hop, moved, ok := x.hopOn(n, a.text(attributeDeployment))
	if !ok || !may {
		e := localFailure(0, x.lastReason(n-1))
		return immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_end_of_plan")
	}
	if n == 1 && !moved {
		return passAttempt() // Envoy 1.36: stream 1 has translated it
	}
	call, err := hop.Translator.Request(x.asks(&hop))
	if err != nil {
		// This provider cannot do what the request asks. An answer from here is
		// final; it is the client's to know.
		e := asError(err)
		x.remember(e)
		return immediate(e.Status, errorHeaders(e), e.JSON(), "isthmus_unsupported")
	}
	x.begin(n, now)
	edit := providerHeaders(header, hop.Deployment, call)
	edit.put(":authority", hop.Deployment.Authority()) // the route has been chosen
	return laterAttempt(edit, call.Body)
}

func attemptOf(header upstream.Header) int {
	n, _ := strconv.Atoi(header.Get("x-envoy-attempt-count"))
	return n
}

// exchangeID is the id that the request filter gave the exchange, forwarded as
// metadata with every message of the upstream filters.
func exchangeID(m *extprocv3.ProcessingRequest) string { return metadataOf(m, "id") }

// metadataOf returns a text of the exchange's metadata.
func metadataOf(m *extprocv3.ProcessingRequest, name string) string {
	return m.GetMetadataContext().GetFilterMetadata()[metadataExchange].GetFields()[name].GetStringValue()
}

// failureStream serves the failure filter: one answer whose status is not 2xx.
type failureStream struct {
	server   *Server
	exchange *exchange
	head     upstream.Head
	number   int
}

func (s *failureStream) close() {}

func (s *failureStream) handle(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	switch {
	case m.GetResponseHeaders() != nil:
		return s.headers(m)
	case m.GetResponseBody() != nil:
		edit, plan := s.judge(m.GetResponseBody().GetBody())
		answer := responseChunk(nil, true, edit, nil)
		answer.DynamicMetadata = replan(plan).proto()
		return answer
	case m.GetResponseTrailers() != nil:
		return passResponseTrailers()
	}
	return nil
}

// headers notes status and header; the body says the rest. An answer without a
// body is judged here, for no other message comes.
func (s *failureStream) headers(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	h := m.GetResponseHeaders()
	s.exchange = s.server.exchanges.find(exchangeID(m))
	header := readHeader(h.GetHeaders())
	s.head = upstream.Head{Status: statusOf(header), Header: header}
	s.number = attributes(m.GetAttributes()).number("upstream.request_attempt_count")
	if !h.GetEndOfStream() || s.exchange == nil {
		return passResponseHeaders(nil)
	}
	edit, plan := s.judge(nil)
	answer := passResponseHeaders(edit)
	answer.DynamicMetadata = replan(plan).proto()
	return answer
}

// maxJudged is how much of an error body is read, in bytes.
const maxJudged = 64 << 10

// judge records the failed attempt and decides whether another follows. It
// returns the header edit that makes Envoy retry and, where Envoy can take one,
// the new plan; or nothing.
func (s *failureStream) judge(body []byte) (*headerEdit, *routing.Plan) {
	x := s.exchange
	if x == nil {
		return nil, nil
	}
	now := time.Now()
	n := max(s.number, 1)
	x.lostBefore(n, now)
	hop, ok := x.hop(n)
	if !ok {
		return nil, nil
	}
	e := hop.Translator.Failure(s.head, body[:min(len(body), maxJudged)])
	if e.Status < 400 {
		e.Status = http.StatusBadGateway // a redirect: providers' APIs have none
	}
	return x.judge(n, e, s.head, now)
}

// judge tells health and routing of the failure of attempt n.
func (x *exchange) judge(n int, e *upstream.Error, head upstream.Head, now time.Time) (*headerEdit, *routing.Plan) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lastError = e
	asked := routing.RetryAfter(head.Header, now)
	o := routing.Outcome{Failed: true, Status: head.Status, RetryAfter: asked, Reason: strconv.Itoa(head.Status) + " " + e.Type}
	if x.finished || !x.endLocked(n, o, now) {
		return nil, nil
	}
	next := x.gateway.router.Failed(x.plan, n, routing.Failure{Error: e, Asked: asked})
	if !next.Retry {
		return nil, nil
	}
	edit := &headerEdit{}
	edit.put("x-isthmus-retry", "1")
	if next.Pause > 0 {
		edit.put("x-isthmus-backoff", strconv.Itoa(int(next.Pause/time.Second)))
	}
	if x.plan.Fixed {
		return edit, nil
	}
	return edit, x.plan
}
