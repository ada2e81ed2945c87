package extproc

import (
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// send sends a message and returns its answer, or what the stream ended with: both are
// nil where it ended well.
func (f *filterStream) send(m *extprocv3.ProcessingRequest) (*extprocv3.ProcessingResponse, error) {
	f.t.Helper()
	select {
	case f.in <- m:
	case err := <-f.err:
		return nil, err
	}
	return f.next()
}

// next is the service's next message, or what the stream ended with.
func (f *filterStream) next() (*extprocv3.ProcessingResponse, error) {
	f.t.Helper()
	select {
	case a := <-f.out:
		return a, nil
	case err := <-f.err:
		select {
		case a := <-f.out: // sent before the end
			f.err <- err
			return a, nil
		default:
			return nil, err
		}
	case <-time.After(time.Minute):
		f.t.Fatal("no answer within a minute")
		return nil, nil
	}
}

func responseTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{}}}
}

// allEnded reports whether all requests have been settled, which is a while after
// their streams have ended where Envoy's word on them is waited for.
func (h *house) allEnded() bool { return h.runtime.Open() == 0 && h.runtime.Current().Open() == 0 }

// nothingHeld fails when anything of a request is left.
func (h *house) nothingHeld() {
	h.t.Helper()
	if n := h.runtime.Open(); n != 0 {
		h.t.Errorf("%d requests are open", n)
	}
	if n := h.runtime.Current().Open(); n != 0 {
		h.t.Errorf("%d requests are open under the configuration", n)
	}
	h.exchanges.byID.Range(func(id, _ any) bool { h.t.Errorf("exchange %v is registered", id); return true })
	for _, d := range h.router.Deployments() {
		if n := h.router.State(d).InFlight; n != 0 {
			h.t.Errorf("deployment %s has %d attempts in flight", d.ID, n)
		}
	}
	h.unsettled.mu.Lock()
	defer h.unsettled.mu.Unlock()
	if n := len(h.unsettled.byID); n != 0 {
		h.t.Errorf("%d entries of the access log are waited for", n)
	}
}

func TestAStreamThatBreaksTheProtocolEndsAndGivesEverythingBack(t *testing.T) {
	head, body := requestHeaders(false, begun()...), requestBody(question)
	good := responseHead(1, false, ":status", "200", "content-type", "application/json")
	bare := responseHead(1, true, ":status", "204")
	bad := responseHead(1, false, ":status", "500", "content-type", "application/json")
	piece, last := responsePiece(`{"id":`, false), responsePiece(`1}`, true)
	trailers, nothing := responseTrailers(), &extprocv3.ProcessingRequest{}
	requestTrailers := &extprocv3.ProcessingRequest{
		Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{}},
	}
	type messages = []*extprocv3.ProcessingRequest
	for name, tc := range map[string]struct {
		filter string
		sends  messages // the last ends the stream
		code   codes.Code
	}{
		"second request headers":                {names.FilterRequest, messages{head, head}, codes.FailedPrecondition},
		"second request headers after the body": {names.FilterRequest, messages{head, body, head}, codes.FailedPrecondition},
		"second request headers in the answer":  {names.FilterRequest, messages{head, body, good, head}, codes.FailedPrecondition},
		"a body before its headers":             {names.FilterRequest, messages{body}, codes.FailedPrecondition},
		"a second body":                         {names.FilterRequest, messages{head, body, body}, codes.FailedPrecondition},
		"a body after the answer began":         {names.FilterRequest, messages{head, good, body}, codes.FailedPrecondition},
		"an answer's body before its headers":   {names.FilterRequest, messages{head, body, last}, codes.FailedPrecondition},
		"trailers before the answer's headers":  {names.FilterRequest, messages{head, body, trailers}, codes.FailedPrecondition},
		"second response headers":               {names.FilterRequest, messages{head, body, good, good}, codes.FailedPrecondition},
		"a piece after the last":                {names.FilterRequest, messages{head, body, good, last, piece}, codes.FailedPrecondition},
		"a piece after trailers": {
			names.FilterRequest, messages{head, body, good, piece, trailers, piece}, codes.FailedPrecondition,
		},
		"a piece of an answer without a body":   {names.FilterRequest, messages{head, body, bare, piece}, codes.FailedPrecondition},
		"trailers after the end":                {names.FilterRequest, messages{head, body, good, last, trailers}, codes.FailedPrecondition},
		"request trailers":                      {names.FilterRequest, messages{head, requestTrailers}, codes.InvalidArgument},
		"a message of no kind":                  {names.FilterRequest, messages{nothing}, codes.InvalidArgument},
		"a body on the retry filter":            {names.FilterRetry, messages{body}, codes.InvalidArgument},
		"response headers on the retry filter":  {names.FilterRetry, messages{good}, codes.InvalidArgument},
		"a retry that is answered already":      {names.FilterRetry, messages{head, head}, codes.FailedPrecondition},
		"request headers on the failure filter": {names.FilterFailure, messages{head}, codes.InvalidArgument},
		"a failure's body before its headers":   {names.FilterFailure, messages{last}, codes.FailedPrecondition},
		"a failure's second headers":            {names.FilterFailure, messages{bad, bad}, codes.FailedPrecondition},
		"a failure's body after its end":        {names.FilterFailure, messages{bad, last, last}, codes.FailedPrecondition},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(tc.filter)
			end := len(tc.sends) - 1
			for i, m := range tc.sends {
				_, err := f.send(m)
				if i < end && err != nil {
					t.Fatalf("message %d ended the stream: %v", i+1, err)
				}
				if i == end && status.Code(err) != tc.code {
					t.Errorf("the stream ended with %v, want %v", err, tc.code)
				}
			}
			h.nothingHeld()
			if n := h.counter(t, "isthmus_extproc_protocol_errors_total"); n != 1 {
				t.Errorf("%v protocol errors are counted", n)
			}
		})
	}
}

// counter is the sum of a counter's series.
func (h *house) counter(t *testing.T, name string) (sum float64) {
	t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestARefusedExchangeGivesNoKeyAway is what a client of the port that is not Envoy might try: to
// go on after the answer.
func TestARefusedExchangeGivesNoKeyAway(t *testing.T) {
	for name, fields := range map[string][]string{
		"a wrong key":     begun("authorization", "Bearer sk-wrong"),
		"no key":          begun(),
		"an unknown path": {":method", "POST", ":path", "/nowhere", "authorization", "Bearer sk-master"},
		"a wrong method":  {":method", "PUT", ":path", "/v1/chat/completions", "authorization", "Bearer sk-master"},
		"too much":        begun("authorization", "Bearer sk-master", "content-length", "999999999999"),
		"compressed":      begun("authorization", "Bearer sk-master", "content-encoding", "gzip"),
		"a health probe":  {":method", "GET", ":path", "/health/liveliness"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters+"general_settings: {master_key: sk-master}\n")
			f := h.open(names.FilterRequest)
			answer, err := f.send(requestHeaders(false, fields...))
			if err != nil || answer.GetImmediateResponse() == nil {
				t.Fatalf("answer %T, %v", answer.GetResponse(), err)
			}
			answer, err = f.send(requestBody(question))
			if status.Code(err) != codes.FailedPrecondition || answer != nil {
				t.Errorf("a body after the answer got %v, %v", answer, err)
			}
			h.nothingHeld()
		})
	}
}

func TestAFilterHasOneName(t *testing.T) {
	h := newHouse(t, twoSisters)
	for name, tc := range map[string]struct {
		names []string
		code  codes.Code
	}{
		"none":            {nil, codes.InvalidArgument},
		"an unknown one":  {[]string{"shop"}, codes.InvalidArgument},
		"two":             {[]string{names.FilterRetry, names.FilterRequest}, codes.InvalidArgument},
		"the same, twice": {[]string{names.FilterRetry, names.FilterRetry}, codes.OK},
	} {
		md := grpcmetadata.MD{}
		md.Append(names.KeyFilter, tc.names...)
		err := h.Process(&script{ctx: grpcmetadata.NewIncomingContext(t.Context(), md)})
		if status.Code(err) != tc.code {
			t.Errorf("%s: %v, want %v", name, err, tc.code)
		}
	}
	if n := h.counter(t, "isthmus_extproc_refused_streams_total"); n != 3 {
		t.Errorf("%v refused streams are counted", n)
	}
}

// TestWhatEnvoySendsIsInOrder are the orders of messages that real Envoys send.
func TestWhatEnvoySendsIsInOrder(t *testing.T) {
	head, body := requestHeaders(false, begun()...), requestBody(question)
	good := responseHead(1, false, ":status", "200", "content-type", "application/json")
	late := responseHead(0, true, ":status", "408")
	piece, last := responsePiece(`{"id":1`, false), responsePiece(`}`, true)
	type messages = []*extprocv3.ProcessingRequest
	for name, tc := range map[string]struct {
		filter string
		sends  messages
	}{
		"an answer that is not read":                     {names.FilterRequest, messages{head, body, good}},
		"an answer in pieces":                            {names.FilterRequest, messages{head, body, good, piece, last}},
		"an answer with trailers":                        {names.FilterRequest, messages{head, body, good, piece, responseTrailers()}},
		"Envoy's own answer while the request comes":     {names.FilterRequest, messages{head, late}},
		"an answer of another filter before the request": {names.FilterRequest, messages{late}},
		"an error without a body":                        {names.FilterFailure, messages{responseHead(1, true, ":status", "500")}},
		"an error in pieces":                             {names.FilterFailure, messages{responseHead(1, false, ":status", "500"), piece, last}},
		"an error with trailers": {
			names.FilterFailure, messages{responseHead(1, false, ":status", "500"), piece, responseTrailers()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(tc.filter)
			for i, m := range tc.sends {
				if _, err := f.send(m); err != nil {
					t.Fatalf("message %d ended the stream: %v", i+1, err)
				}
			}
			if err := f.close(); err != nil {
				t.Errorf("the stream ended with %v", err)
			}
			h.nothingHeld()
		})
	}
}

// hurried is twoSisters with no time for anything.
var hurried = strings.Replace(twoSisters, "num_retries: 1", "num_retries: 1, request_timeout: 0.001", 1)

// TestWhatWasUnderwayWhenTheTimeWasUpIsNoError: Envoy may have sent a message
// before it had the answer that it did not ask for.
func TestWhatWasUnderwayWhenTheTimeWasUpIsNoError(t *testing.T) {
	h := newHouse(t, hurried)
	f := h.open(names.FilterRequest)
	answer, _ := h.begin(f, strings.Replace(question, "{", `{"stream":true,`, 1))
	if answer.GetImmediateResponse() == nil {
		answer = f.answer()
	}
	if answer.GetImmediateResponse().GetStatus().GetCode() != 504 {
		t.Fatalf("%T, want the answer that its time was up", answer.GetResponse())
	}
	if answer, err := f.send(responseHead(1, false, ":status", "200", "content-type", "text/event-stream")); answer != nil || err != nil {
		t.Errorf("the message that was under way got %v, %v", answer, err)
	}
	h.nothingHeld()
	if n := h.counter(t, "isthmus_extproc_protocol_errors_total"); n != 0 {
		t.Errorf("%v protocol errors are counted", n)
	}
}
