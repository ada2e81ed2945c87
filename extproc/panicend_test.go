package extproc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/callback/all"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// brokenResult is a translator whose decoder panics where it is asked for its result.
type brokenResult struct{ translate.Translator }

func (b brokenResult) Decoder(r *chat.Request, h upstream.Head) chat.Decoder {
	return brokenDecoder{b.Translator.Decoder(r, h)}
}

type brokenDecoder struct{ chat.Decoder }

func (brokenDecoder) Result() chat.Result { panic("a bug in the decoder") }

// brokenRouter panics where an attempt ends.
type brokenRouter struct{ attemptRouter }

func (b brokenRouter) Done(h *routing.Hop, o routing.Outcome) {
	b.attemptRouter.Done(h, o)
	panic("a bug in the routing")
}

// brokenStore grants everything, and panics where it is given back.
type brokenStore struct{}

func (brokenStore) Acquire(context.Context, *store.Request) (store.Reply, error) {
	return store.Reply{}, nil
}
func (brokenStore) Settle(store.Settlement) { panic("a bug in the store") }
func (brokenStore) Beat(context.Context, store.Beat) (store.Peers, error) {
	return store.Peers{}, errors.New("nobody is there")
}

// TestAPanicAtTheEndLosesNothingElse puts a bug into each step of a request's end, when
// its client has left. All other steps are made: the request is counted, on the status
// page and in the log, and nothing of it is held.
func TestAPanicAtTheEndLosesNothingElse(t *testing.T) {
	const counted, shown, line = "counted", "shown", "line"
	for name, tc := range map[string]struct {
		bug   func(h *house, x *exchange)
		loses string
		more  float64 // panics beside the first
	}{
		"the decoder's result": {bug: func(_ *house, x *exchange) {
			bound := *x.attempts.plan.Hops[0].Translator
			bound.Translator = brokenResult{bound.Translator}
			x.attempts.plan.Hops[0].Translator = &bound
			x.snapshot.tokens = tokens.New()
		}},
		"the counting of tokens": {bug: func(_ *house, x *exchange) { x.snapshot.tokens = &tokens.Counter{} }},
		"the end of an attempt": {bug: func(_ *house, x *exchange) {
			x.attempts.router = brokenRouter{x.attempts.router}
		}},
		"the limits": {bug: func(h *house, x *exchange) {
			l := limit.New(limit.Options{Store: brokenStore{}, Now: time.Now, Guard: h.guard, MaxParallel: 9})
			t.Cleanup(l.Close)
			a, err := l.Admit(t.Context(), &limit.Ask{ID: x.id, Candidates: []string{"a"}})
			if err != nil {
				t.Fatal(err)
			}
			x.reservation.hold(a)
		}},
		"the callbacks": {bug: func(_ *house, x *exchange) {
			x.snapshot.wants = all.Wants{Success: true, Failure: true}
			x.request.Body = nil // of which the memory and the callbacks' record ask
		}, more: 1},
		"the metrics":     {bug: func(h *house, _ *exchange) { h.runtime.metrics = nil }, loses: counted},
		"the status page": {bug: func(h *house, _ *exchange) { h.runtime.recent = nil }, loses: shown},
		"the span":        {bug: func(_ *house, x *exchange) { x.span = &trace.Request{} }},
		"the line": {bug: func(h *house, _ *exchange) {
			h.runtime.log = slog.New(panicking{h.runtime.log.Handler()})
		}, loses: line},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			_, id := h.begin(f, question)
			metrics, recent, log := h.runtime.metrics, h.runtime.recent, h.runtime.log
			tc.bug(h, h.exchanges.find(id))
			f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "100000"))
			f.ask(responsePiece(`{"id":"c"`, false))
			if err := f.close(); err != nil {
				t.Errorf("the stream ended with %v", err)
			}
			h.runtime.metrics, h.runtime.recent, h.runtime.log = metrics, recent, log
			if n := h.counter(t, "isthmus_panics_total"); n != 1+tc.more {
				t.Errorf("%v panics are counted, want %v: %s", n, 1+tc.more, h.log)
			}
			h.nothingHeld()
			if n := h.counter(t, "isthmus_requests_total"); n > 0 == (tc.loses == counted) {
				t.Errorf("%v requests are counted", n)
			}
			if got := strings.Contains(h.history(), id); got == (tc.loses == shown) {
				t.Errorf("the status page shows the request: %t", got)
			}
			if got := strings.Contains(h.log.String(), "msg=request id="+id); got == (tc.loses == line) {
				t.Errorf("the log has the request: %t\n%s", got, h.log)
			}
			h.runtime.Current().tokens = nil
			h.runtime.Current().wants = all.Wants{}
			h.serves()
		})
	}
}

// deafOnce panics when the first answer that nothing asked for is sent.
type deafOnce struct {
	*filterStream
	panicked bool
}

func (d *deafOnce) Send(m *extprocv3.ProcessingResponse) error {
	if m.GetImmediateResponse() != nil && !d.panicked {
		d.panicked = true
		panic("a bug in the answer")
	}
	return d.filterStream.Send(m)
}

// TestWhoeverHasClaimedTheAnswerGivesIt: between the deadline's claim and its answer a
// panic must not leave the client to Envoy's timers.
func TestWhoeverHasClaimedTheAnswerGivesIt(t *testing.T) {
	streaming := strings.Replace(question, "{", `{"stream":true,`, 1)
	t.Run("the bare error where the whole answer cannot be made", func(t *testing.T) {
		h := newHouse(t, hurried)
		f := h.unopened(names.FilterRequest, "priority_group")
		go func() { f.err <- h.Process(&deafOnce{filterStream: f}) }()
		answer, _ := h.begin(f, streaming)
		if answer.GetImmediateResponse() == nil {
			answer = f.answer()
		}
		got := answer.GetImmediateResponse()
		if got.GetStatus().GetCode() != 504 || !strings.Contains(string(got.GetBody()), `"error"`) {
			t.Errorf("the client gets %v", answer)
		}
		if err := f.close(); err != nil {
			t.Error(err)
		}
		h.nothingHeld()
	})
	t.Run("the end of the stream where nothing can be sent", func(t *testing.T) {
		h := newHouse(t, hurried)
		f := h.unopened(names.FilterRequest, "priority_group")
		go func() { f.err <- h.Process(deafStream{f}) }()
		f.ask(requestHeaders(false, begun()...))
		f.in <- requestBody(streaming)
		asynctest.Await(t, "both answers have panicked", func() bool { return h.counter(t, "isthmus_panics_total") == 2 })
		answer, err := f.send(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
		if answer.GetRequestBody() != nil { // which was made before the deadline, and sent after it
			answer, err = f.next()
		}
		if answer != nil || status.Code(err) != codes.Internal {
			t.Errorf("the answer's headers get %v, %v, want the stream's end with Internal", answer, err)
		}
		h.nothingHeld()
	})
}
