package extproc

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/isthmus-proxy/isthmus/extproc/wire"
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

// mock answers with a deployment's mock_response, without a provider.
func (s *requestStream) mock(text string) *wire.Answer {
	x := s.exchange
	if e := x.request.Endpoint; e != chat.Completions && e != chat.TextCompletions {
		return s.refuse(upstream.BadRequest("", "mock_response answers chat completions only"))
	}
	hop, _ := x.attempts.hop(1)
	w := chat.NewWriter(x.request)
	w.Head("", hop.Model)
	w.Text(0, text)
	w.Finish(0, "stop")
	words := int64(len(strings.Fields(text)))
	w.Usage(chat.Usage{Prompt: words, Completion: words, Total: 2 * words})
	w.Close()
	if !x.answered(0, http.StatusOK, hop) {
		return nil
	}
	x.outcome.complete(w.Result())
	header := upstream.Header{{Name: "content-type", Value: "application/json"}}
	if x.request.Stream {
		header.Set("content-type", "text/event-stream; charset=utf-8")
		header.Set("cache-control", "no-cache")
	}
	for _, f := range append(x.publicHeaders(0, &hop), x.reservation.rateLimits()...) {
		header.Set(f.Name, f.Value)
	}
	body := w.Take()
	s.capture(x.request.Stream)
	x.capture.feed(body)
	s.tellHooks(body)
	return wire.Immediate(http.StatusOK, header, body, "isthmus_mock").WithMetadata(x.metadata())
}
