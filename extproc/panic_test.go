package extproc

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// panicking is a log that panics at the line of a request.
type panicking struct{ slog.Handler }

func (p panicking) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "request" {
		panic("a bug in the log")
	}
	return p.Handler.Handle(ctx, r)
}

// TestAPanicCostsItsRequestAlone puts a bug into each phase of a request's life,
// through what the phase leans on. The stream ends, everything is given back, and
// the next request is served.
func TestAPanicCostsItsRequestAlone(t *testing.T) {
	head, body := requestHeaders(false, begun()...), requestBody(question)
	good := responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "100000")
	piece := responsePiece(`{"id":"c"`, false)
	type messages = []*extprocv3.ProcessingRequest
	broken := func(x *exchange) { x.request = nil }
	for name, tc := range map[string]struct {
		before messages                    // are answered
		bug    func(h *house, x *exchange) // then this breaks
		last   *extprocv3.ProcessingRequest
		whole  bool // the last message is answered: the bug is at the end
		beside bool // a panic is counted beside that of a stream
	}{
		"at the request's headers": {
			bug:  func(h *house, _ *exchange) { h.runtime.Current().router = nil },
			last: requestHeaders(true, ":method", "GET", ":path", "/v1/models"),
		},
		"at the request's body": {
			before: messages{head}, bug: func(h *house, _ *exchange) { h.runtime.Current().router = nil }, last: body, beside: true,
		},
		"at the response's headers": {
			before: messages{head, body},
			bug:    func(_ *house, x *exchange) { x.attempts.plan.Hops[0].Translator = nil },
			last:   good,
		},
		"at a piece of the answer": {before: messages{head, body, good}, bug: func(_ *house, x *exchange) { broken(x) }, last: piece},
		"at the answer's trailers": {
			before: messages{head, body, good, piece},
			bug:    func(_ *house, x *exchange) { broken(x) },
			last:   responseTrailers(),
		},
		"at the end, where the tokens are counted": {
			before: messages{head, body, good}, last: piece, whole: true, beside: true,
			bug: func(_ *house, x *exchange) { x.snapshot.tokens = &tokens.Counter{} },
		},
		"at the end, where the line is written": {
			before: messages{head, body, good}, last: piece, whole: true, beside: true,
			bug: func(h *house, _ *exchange) { h.runtime.log = slog.New(panicking{h.runtime.log.Handler()}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			for _, m := range tc.before {
				if _, err := f.send(m); err != nil {
					t.Fatal(err)
				}
			}
			var x *exchange
			h.exchanges.byID.Range(func(_, v any) bool { x = v.(*exchange); return false })
			router, log := h.runtime.Current().router, h.runtime.log
			tc.bug(h, x)
			_, err := f.send(tc.last)
			if tc.whole {
				if err != nil {
					t.Fatalf("the stream ended with %v", err)
				}
				if strings.Contains(name, "tokens") {
					broken(x)
				}
				err = f.close()
			} else if status.Code(err) != codes.Internal {
				t.Errorf("the stream ended with %v, want Internal", err)
			}
			h.nothingHeld()
			h.runtime.Current().router, h.runtime.Current().tokens, h.runtime.log = router, nil, log
			if n := h.counter(t, "isthmus_extproc_panics_total"); n > 0 == tc.whole {
				t.Errorf("%v panics of streams are counted; the end: %v", n, err)
			}
			if n := h.counter(t, "isthmus_panics_total"); n > 0 != tc.beside {
				t.Errorf("%v panics beside them are counted", n)
			}
			h.serves()
		})
	}
}

// serves fails when a whole request is not served.
func (h *house) serves() {
	h.t.Helper()
	f := h.open(names.FilterRequest)
	answer, _ := h.begin(f, question)
	if answer.GetRequestBody() == nil {
		h.t.Errorf("the next request is answered by %T", answer.GetResponse())
	}
	f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "100000"))
	f.ask(responsePiece(`{"id":"c","choices":[]}`, true))
	if err := f.close(); err != nil {
		h.t.Errorf("the next request's stream ended with %v", err)
	}
	h.nothingHeld()
}

// TestAPanicOfAnotherFilterCostsItsStreamAlone: the request goes on to its end,
// although the panic came under the lock of its exchange.
func TestAPanicOfAnotherFilterCostsItsStreamAlone(t *testing.T) {
	for name, tc := range map[string]struct {
		filter string
		bug    func(x *exchange)
		sends  func(id string) []*extprocv3.ProcessingRequest
	}{
		"the judge of a failure": {
			names.FilterFailure, func(x *exchange) { x.attempts.plan.Hops[0].Translator = nil },
			func(id string) []*extprocv3.ProcessingRequest {
				m := responseHead(1, true, ":status", "500")
				m.MetadataContext = named(id)
				return []*extprocv3.ProcessingRequest{m}
			},
		},
		"what makes the next attempt ready, under the lock": {
			names.FilterFailure, func(x *exchange) { x.request = nil },
			func(id string) []*extprocv3.ProcessingRequest {
				m := responseHead(1, true, ":status", "500")
				m.MetadataContext = named(id)
				return []*extprocv3.ProcessingRequest{m}
			},
		},
		"a retry": {
			names.FilterRetry, func(x *exchange) { x.attempts.plan.Hops[1].Translator = nil },
			func(id string) []*extprocv3.ProcessingRequest {
				m := requestHeaders(false, "x-envoy-attempt-count", "2")
				m.Attributes, m.MetadataContext = attrs(2), named(id)
				return []*extprocv3.ProcessingRequest{m}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			_, id := h.begin(f, question)
			tc.bug(h.exchanges.find(id))
			other := h.open(tc.filter)
			var err error
			for _, m := range tc.sends(id) {
				_, err = other.send(m)
			}
			if status.Code(err) != codes.Internal {
				t.Errorf("the stream ended with %v, want Internal", err)
			}
			if answer := f.ask(responseHead(2, true, ":status", "503")); answer.GetResponseHeaders() == nil {
				t.Errorf("the request's own stream got %T", answer.GetResponse())
			}
			if err := f.close(); err != nil {
				t.Errorf("the request's own stream ended with %v", err)
			}
			h.nothingHeld()
			h.serves()
		})
	}
}

// deafStream panics when the answer that nothing asked for is sent.
type deafStream struct{ *filterStream }

func (d deafStream) Send(m *extprocv3.ProcessingResponse) error {
	if m.GetImmediateResponse() != nil {
		panic("a bug in the stream")
	}
	return d.filterStream.Send(m)
}

func TestAPanicInATimerCostsItsRequestAlone(t *testing.T) {
	h := newHouse(t, hurried)
	f := h.unopened(names.FilterRequest, "priority_group")
	go func() { f.err <- h.Process(deafStream{f}) }()
	if _, err := f.send(requestHeaders(false, begun()...)); err != nil {
		t.Fatal(err)
	}
	// The timer may be before the answer to the body, of which nothing comes then.
	f.in <- requestBody(strings.Replace(question, "{", `{"stream":true,`, 1))
	asynctest.Await(t, "the timer has panicked", func() bool { return h.counter(t, "isthmus_panics_total") > 0 })
	_ = f.close()
	h.nothingHeld()
}

func TestAPanicInARelayCostsItsStreamAlone(t *testing.T) {
	h := newHouse(t, twoSisters)
	h.peers = peer.NewSet(peer.Options{
		Log:   h.Server.log,
		Guard: h.guard,
		Dial:  func(string) (peer.Conn, error) { panic("a bug in the dialling") },
	})
	h.knows("127.0.0.1:1")
	retry := h.open(names.FilterRetry)
	m := requestHeaders(false, "x-envoy-attempt-count", "2")
	m.Attributes, m.MetadataContext = attrs(2), namedAt("unknown", "127.0.0.1:1")
	if _, err := retry.send(m); status.Code(err) != codes.Internal {
		t.Errorf("the stream ended with %v, want Internal", err)
	}
	h.nothingHeld()
	h.serves()
}
