package extproc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// modelsCreated is the constant "created" of every model, as LiteLLM has it.
const modelsCreated = 1677610602

// answer ends the exchange with a JSON answer of ours; nil: it is answered already.
func (s *requestStream) answer(status int, body []byte) *wire.Answer {
	if !s.exchange.outcome.local(status) {
		return nil
	}
	if s.header.Get(":method") == "HEAD" {
		body = nil
	}
	return wire.Immediate(status, upstream.Header{{Name: "content-type", Value: "application/json"}}, body, "isthmus_answer")
}

// refuse ends the exchange with an error, before any attempt; nil: it is answered
// already.
func (s *requestStream) refuse(e *upstream.Error) *wire.Answer { return s.refuseBy(byGateway, e) }

func (s *requestStream) refuseBy(who answerer, e *upstream.Error) *wire.Answer {
	x := s.exchange
	if !x.outcome.refused(who, e) {
		return nil
	}
	header := errorHeaders(e)
	for _, f := range x.publicHeaders(0, nil) {
		header.Set(f.Name, f.Value)
	}
	return wire.Immediate(e.Status, header, e.JSON(), "isthmus_refused").WithMetadata(x.metadata())
}

func (s *requestStream) health(g *Snapshot, p apiPath) *wire.Answer {
	s.exchange.probe = true
	if p.action == readiness && g.draining() {
		return s.answer(http.StatusServiceUnavailable, []byte(`{"status":"draining"}`))
	}
	if p.action == readiness {
		return s.answer(http.StatusOK, []byte(`{"status":"healthy"}`))
	}
	return s.answer(http.StatusOK, []byte(`"I'm alive!"`))
}

func (s *requestStream) showModel(g *Snapshot, id string) *wire.Answer {
	if !g.router.Has(id) {
		return s.refuse(chat.ModelNotFound(id))
	}
	return s.answer(http.StatusOK, appendModel(nil, id))
}

// ModelList is the body of GET /v1/models, in OpenAI's shape.
func (g *Snapshot) ModelList() []byte {
	out := []byte(`{"object":"list","data":[`)
	for i, name := range g.router.Models() {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendModel(out, name)
	}
	return append(out, "]}"...)
}

func appendModel(dst []byte, id string) []byte {
	dst = append(dst, `{"id":`...)
	dst = jsonedit.AppendString(dst, id)
	dst = append(dst, `,"object":"model","created":`...)
	dst = strconv.AppendInt(dst, modelsCreated, 10)
	return append(dst, `,"owned_by":"isthmus"}`...)
}

// mockDetails are Envoy's details of an attempt that the retry filter has stopped: stream 1
// gives its deployment's mock_response.
const mockDetails = "isthmus_mock"

// mock answers with the mock_response of a hop's deployment, without a provider; n is the
// attempt that it takes the place of, 0 where none was made.
func (s *requestStream) mock(hop routing.Hop, n int) *wire.Answer {
	x, text := s.exchange, *hop.Deployment.MockResponse
	if e := x.request.Endpoint; e != chat.Completions && e != chat.TextCompletions {
		return s.refuse(upstream.BadRequest("", "mock_response answers chat completions only"))
	}
	w := chat.NewWriter(x.request)
	w.Head("", hop.Model)
	w.Text(0, text)
	w.Finish(0, "stop")
	words := int64(len(strings.Fields(text)))
	w.Usage(chat.Usage{Prompt: words, Completion: words, Total: 2 * words})
	w.Close()
	if !x.answered(n, http.StatusOK, hop) {
		return nil
	}
	x.outcome.complete(w.Result())
	header := upstream.Header{{Name: "content-type", Value: "application/json"}}
	if x.request.Stream {
		header.Set("content-type", "text/event-stream; charset=utf-8")
		header.Set("cache-control", "no-cache")
	}
	for _, f := range append(x.publicHeaders(n, &hop), x.reservation.rateLimits()...) {
		header.Set(f.Name, f.Value)
	}
	body := w.Take()
	s.capture(x.request.Stream)
	x.capture.feed(body)
	s.notifyHooks(body)
	return wire.Immediate(http.StatusOK, header, body, mockDetails).WithMetadata(x.metadata())
}

// The errors that isthmus itself gives a client. The shape of their body is in
// translate/upstream/errorbody.go; a provider's error is read by its own translator.

// asError makes what a client sees of any error. Ours are *upstream.Error
// already; anything else is a fault of this program and says nothing outside.
func asError(err error) *upstream.Error {
	var e *upstream.Error
	if errors.As(err, &e) {
		return e
	}
	return &upstream.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error of the gateway"}
}

func unknownURL(method, path string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Code: "unknown_url",
		Message: fmt.Sprintf("Unknown request URL: %s %s. See docs/endpoints.md for the endpoints of this gateway.", method, withoutQuery(path)),
	}
}

func wrongMethod(method, allowed string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusMethodNotAllowed, Type: "invalid_request_error", Code: "method_not_allowed",
		Message: fmt.Sprintf("Not allowed to %s here: use %s.", method, allowed),
		Header:  upstream.Header{{Name: "allow", Value: allowed}},
	}
}

func bodyTooLarge(limit int64) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "request_too_large",
		Message: fmt.Sprintf("the request body exceeds the limit of %d bytes (general_settings.max_request_body_bytes)", limit),
	}
}

func compressedBody(coding string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusUnsupportedMediaType, Type: "invalid_request_error", Code: "unsupported_content_encoding",
		Message: fmt.Sprintf("the request body is compressed (content-encoding: %s): send it plain, "+
			"or let Envoy's decompressor filter stand before isthmus", coding),
		Header: upstream.Header{{Name: "accept-encoding", Value: "identity"}},
	}
}

// clientGone is for the records only: it is not sent.
func clientGone() *upstream.Error {
	return &upstream.Error{
		Status: 499, Type: "client_closed_request", Code: "client_closed_request",
		Message: "the client left before it was answered",
	}
}

func drainingError() *upstream.Error {
	return &upstream.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "draining",
		Message: "the gateway is shutting down",
		Header:  upstream.Header{{Name: "retry-after", Value: "1"}, {Name: "connection", Value: "close"}},
	}
}

// withoutQuery cuts the query off a path: Google's clients put keys there.
func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// localFailure is the error for an answer that Envoy made itself.
func localFailure(status int, details string) *upstream.Error {
	switch {
	case status == http.StatusGatewayTimeout || strings.Contains(details, "timeout") || details == timedAnswer:
		return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "upstream_timeout",
			Message: "the provider did not answer in time"}
	case strings.Contains(details, "protocol_error"), strings.HasPrefix(details, "http1."), strings.HasPrefix(details, "http2."):
		return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer",
			Message: "the provider's answer is not valid HTTP"}
	case status == http.StatusRequestEntityTooLarge:
		return &upstream.Error{Status: status, Type: "invalid_request_error", Code: "request_too_large", Message: "the request is too large"}
	}
	return &upstream.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "upstream_unavailable",
		Message: "no provider could be reached for this model"}
}
