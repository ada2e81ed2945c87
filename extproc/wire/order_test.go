package wire

import (
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

func TestAStreamHasOneOrder(t *testing.T) {
	head, body, good := requestHeaders(false), requestBody("{}"), responseHeaders(false)
	piece, last, trailers := responseBody("{", false), responseBody("}", true), responseTrailers()
	requestTrailers := &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{}}
	type messages = []*extprocv3.ProcessingRequest
	for name, tc := range map[string]struct {
		filter string
		sends  messages
		code   codes.Code // of the last; the others are in order
	}{
		"a clean request":                 {names.FilterRequest, messages{head, body, good, piece, piece, last}, codes.OK},
		"trailers end an answer":          {names.FilterRequest, messages{head, body, good, piece, trailers}, codes.OK},
		"an answer before the body":       {names.FilterRequest, messages{head, good}, codes.OK},
		"an attempt":                      {names.FilterRetry, messages{head}, codes.OK},
		"a failure":                       {names.FilterFailure, messages{good, last}, codes.OK},
		"an opening":                      {names.FilterOpening, messages{head, good, piece, piece, last}, codes.OK},
		"an opening without its headers":  {names.FilterOpening, messages{head, piece}, codes.FailedPrecondition},
		"an opening without its request":  {names.FilterOpening, messages{good}, codes.FailedPrecondition},
		"a body on the opening filter":    {names.FilterOpening, messages{head, body}, codes.InvalidArgument},
		"trailers on the opening filter":  {names.FilterOpening, messages{head, good, trailers}, codes.InvalidArgument},
		"headers twice":                   {names.FilterRequest, messages{head, head}, codes.FailedPrecondition},
		"a body first":                    {names.FilterRequest, messages{body}, codes.FailedPrecondition},
		"a piece without its headers":     {names.FilterRequest, messages{head, body, piece}, codes.FailedPrecondition},
		"a piece after the last":          {names.FilterRequest, messages{head, body, good, last, piece}, codes.FailedPrecondition},
		"back to the request":             {names.FilterRequest, messages{head, body, good, body}, codes.FailedPrecondition},
		"request trailers":                {names.FilterRequest, messages{head, requestTrailers}, codes.InvalidArgument},
		"an answer on the retry filter":   {names.FilterRetry, messages{good}, codes.InvalidArgument},
		"a request on the failure filter": {names.FilterFailure, messages{head}, codes.InvalidArgument},
		"a filter of no name":             {"", messages{head}, codes.InvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			order := Order{Filter: tc.filter}
			for i, m := range tc.sends {
				want := codes.OK
				if i == len(tc.sends)-1 {
					want = tc.code
				}
				if err := order.Next(MessageOf(m)); status.Code(err) != want {
					t.Errorf("message %d: %v, want %v", i+1, err, want)
				}
			}
		})
	}
}

func TestNothingFollowsAnImmediateResponse(t *testing.T) {
	order := Order{Filter: names.FilterRequest}
	if err := order.Next(MessageOf(requestHeaders(false))); err != nil {
		t.Fatal(err)
	}
	order.Answered = true
	if err := order.Next(MessageOf(requestBody("{}"))); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a body after the answer: %v, want it refused", err)
	}
}

// BenchmarkOrder is what the order of messages costs a clean request.
func BenchmarkOrder(b *testing.B) {
	messages := []*extprocv3.ProcessingRequest{
		requestHeaders(false), requestBody("{}"), responseHeaders(false), responseBody("{}", false), responseBody("{}", true),
	}
	b.ReportAllocs()
	for b.Loop() {
		order := Order{Filter: names.FilterRequest}
		for _, m := range messages {
			if err := order.Next(MessageOf(m)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
