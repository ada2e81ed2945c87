package extproc

import (
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
)

// What Envoy sends on a filter's stream comes in one order, each kind once except
// the pieces of a response body, and nothing follows an immediate response or the
// end of the answer. Whoever sends anything else is no Envoy with our
// configuration: its stream ends with an error, before the message is read.

// protocol is where one stream stands. The zero value of what follows filter is
// the beginning.
type protocol struct {
	filter   string
	begun    bool
	last     metrics.Phase // of the last message
	response bool          // response headers came
	over     bool          // the answer's end came
	answered bool          // an immediate response was sent
}

// takes are the kinds of message that a filter is configured to send.
func takes(filter string, p metrics.Phase) bool {
	switch filter {
	case names.FilterRequest:
		return true
	case names.FilterRetry:
		return p == metrics.RequestHeaders
	case names.FilterFailure:
		return p >= metrics.ResponseHeaders
	}
	return false
}

// next notes a message, or returns the error that ends the stream.
func (p *protocol) next(m *extprocv3.ProcessingRequest) error {
	phase, ended := phaseOf(m)
	switch {
	case phase == metrics.UnknownPhase:
		return status.Error(codes.InvalidArgument, "a message of a kind that was not asked for")
	case !takes(p.filter, phase):
		return status.Errorf(codes.InvalidArgument, "the filter %s sends no %s", p.filter, phase)
	case p.answered:
		return status.Errorf(codes.FailedPrecondition, "%s after the answer", phase)
	case p.over:
		return status.Errorf(codes.FailedPrecondition, "%s after the end of the answer", phase)
	case p.begun && (phase < p.last || phase == p.last && phase != metrics.ResponseBody):
		return status.Errorf(codes.FailedPrecondition, "%s after %s", phase, p.last)
	case phase == metrics.RequestBody && !p.begun, phase > metrics.ResponseHeaders && !p.response:
		return status.Errorf(codes.FailedPrecondition, "%s before its headers", phase)
	}
	p.begun, p.last = true, phase
	p.response = p.response || phase == metrics.ResponseHeaders
	p.over = ended && phase >= metrics.ResponseHeaders
	return nil
}

// phaseOf says what a message is about, and whether it is the last of its half of
// the exchange.
func phaseOf(m *extprocv3.ProcessingRequest) (phase metrics.Phase, ended bool) {
	switch r := m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return metrics.RequestHeaders, r.RequestHeaders.GetEndOfStream()
	case *extprocv3.ProcessingRequest_RequestBody:
		return metrics.RequestBody, r.RequestBody.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return metrics.ResponseHeaders, r.ResponseHeaders.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseBody:
		return metrics.ResponseBody, r.ResponseBody.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return metrics.ResponseTrailers, true
	}
	return metrics.UnknownPhase, false
}
