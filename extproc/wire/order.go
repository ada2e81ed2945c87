package wire

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// What Envoy sends on a filter's stream comes in one order, each kind once except
// the pieces of a response body, and nothing follows an immediate response or the
// end of the answer. Whoever sends anything else is no Envoy with our
// configuration: its stream ends with an error, before the message is read.

// Order is where one stream of a filter stands. The zero value, with Filter set, is
// the beginning.
type Order struct {
	Filter   string // one of the values of names.KeyFilter
	Answered bool   // an immediate response was sent

	begun    bool
	last     Phase // of the last message
	response bool  // response headers came
	over     bool  // the answer's end came
}

// takes are the kinds of message that a filter is configured to send.
func takes(filter string, p Phase) bool {
	switch filter {
	case names.FilterRequest:
		return true
	case names.FilterRetry:
		return p == RequestHeaders
	case names.FilterFailure:
		return p >= ResponseHeaders
	case names.FilterOpening:
		return p == RequestHeaders || p == ResponseHeaders || p == ResponseBody
	}
	return false
}

// Next notes a message, or returns the error that ends the stream: a gRPC status.
func (o *Order) Next(m Message) error {
	phase, ended := m.Phase(), m.EndOfStream()
	switch {
	case phase == UnknownPhase:
		return status.Error(codes.InvalidArgument, "a message of a kind that was not asked for")
	case !takes(o.Filter, phase):
		return status.Errorf(codes.InvalidArgument, "the filter %s sends no %s", o.Filter, phase)
	case o.Answered:
		return status.Errorf(codes.FailedPrecondition, "%s after the answer", phase)
	case o.over:
		return status.Errorf(codes.FailedPrecondition, "%s after the end of the answer", phase)
	case o.begun && (phase < o.last || phase == o.last && phase != ResponseBody):
		return status.Errorf(codes.FailedPrecondition, "%s after %s", phase, o.last)
	case phase == RequestBody && !o.begun, phase > ResponseHeaders && !o.response,
		phase == ResponseHeaders && !o.begun && o.Filter == names.FilterOpening:
		return status.Errorf(codes.FailedPrecondition, "%s before its headers", phase)
	}
	o.begun, o.last = true, phase
	o.response = o.response || phase == ResponseHeaders
	o.over = ended && phase >= ResponseHeaders
	return nil
}
