package extproc

import (
	"strconv"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// This file is the only one that builds ProcessingResponse values. They carry
// keys and prompts: none of them is ever printed.

// reply is one answer of ours to Envoy. Of a large body only the beginning may
// be in the message: the rest follows it in pieces, which are not copied.
type reply struct {
	*extprocv3.ProcessingResponse
	tail [][]byte
}

func whole(m *extprocv3.ProcessingResponse) *reply { return &reply{ProcessingResponse: m} }

// continueHeaders lets request headers pass; Envoy sends the body next.
func continueHeaders(md metadata) *reply {
	return whole(&extprocv3.ProcessingResponse{
		Response:        &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}},
		DynamicMetadata: md.proto(),
	})
}

// firstAttempt answers the request body: the body for attempt 1, its headers,
// and the plan. The route is chosen again, now that the plan is there. Without a
// call the body stays the one that Envoy holds: it need not be sent back to it,
// nor taken in.
func firstAttempt(edit *headerEdit, call *upstream.Call, md metadata) *reply {
	var body *extprocv3.BodyMutation
	var tail [][]byte
	if call != nil {
		body, tail = replaceBody(call.Body), call.Tail
	}
	return &reply{tail: tail, ProcessingResponse: &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{
			Response: &extprocv3.CommonResponse{
				HeaderMutation:  edit.mutation(),
				BodyMutation:    body,
				ClearRouteCache: true,
			},
		}},
		DynamicMetadata: md.proto(),
	}}
}

// laterAttempt answers the headers of a retried attempt with another request.
// Envoy drops content-length here; the length goes as metadata to the
// header_mutation filter behind us, which puts it back.
func laterAttempt(edit *headerEdit, call *upstream.Call) *reply {
	return &reply{tail: call.Tail, ProcessingResponse: &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.mutation(),
				BodyMutation:   replaceBody(call.Body),
			},
		}},
		DynamicMetadata: metadata(nil).object(names.NamespaceAttempt, metadata(nil).text(names.FieldLength, strconv.Itoa(call.Size()))).proto(),
	}}
}

// passAttempt lets an attempt through unchanged.
func passAttempt() *reply { return continueHeaders(nil) }

// responseHeaders answers response headers and says how the body is to be read.
func responseHeaders(edit *headerEdit, mode modev3.ProcessingMode_BodySendMode, md metadata) *reply {
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{HeaderMutation: edit.mutation()},
		}},
		// Trailers are asked for so that the stream stays open until the
		// response ends: Envoy 1.37 and 1.38 close it early otherwise, and its
		// closing is what frees the request's slot.
		ModeOverride: &modev3.ProcessingMode{
			RequestHeaderMode:   modev3.ProcessingMode_SEND,
			RequestBodyMode:     modev3.ProcessingMode_BUFFERED,
			ResponseHeaderMode:  modev3.ProcessingMode_SEND,
			ResponseBodyMode:    mode,
			ResponseTrailerMode: modev3.ProcessingMode_SEND,
		},
		DynamicMetadata: md.proto(),
	})
}

// replaceResponse answers response headers with another status, header and body;
// what the provider still sends is dropped, and waited for: what may go on for long
// is ended by an immediate response, which resets it.
func replaceResponse(edit *headerEdit, body []byte, md metadata) *reply {
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.mutation(),
				BodyMutation:   replaceBody(body),
			},
		}},
		DynamicMetadata: md.proto(),
	})
}

// passResponseHeaders lets response headers through with these changes.
func passResponseHeaders(edit *headerEdit) *reply {
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{HeaderMutation: edit.mutation()},
		}},
	})
}

// passUnread lets the headers of an attempt's answer through with these changes,
// and its body without asking us.
func passUnread(edit *headerEdit) *reply {
	answer := passResponseHeaders(edit)
	answer.ModeOverride = &modev3.ProcessingMode{
		RequestHeaderMode: modev3.ProcessingMode_SKIP, ResponseHeaderMode: modev3.ProcessingMode_SEND, ResponseBodyMode: modev3.ProcessingMode_NONE,
	}
	return answer
}

// responseChunk answers a piece of a response body: out nil leaves it as it is,
// an empty out swallows it.
func responseChunk(out []byte, unchanged bool, edit *headerEdit, md metadata) *reply {
	common := &extprocv3.CommonResponse{HeaderMutation: edit.mutation()}
	if !unchanged {
		common.BodyMutation = replaceBody(out)
	}
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: common}},

		DynamicMetadata: md.proto(),
	})
}

// moreTime asks Envoy to wait longer for the answer to its current message.
func moreTime(d time.Duration) *reply {
	return whole(&extprocv3.ProcessingResponse{OverrideMessageTimeout: durationpb.New(d)})
}

// passResponseTrailers lets trailers through.
func passResponseTrailers() *reply {
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}},
	})
}

// immediate ends the exchange with an answer of ours.
func immediate(status int, header upstream.Header, body []byte, details string) *reply {
	edit := &headerEdit{}
	edit.putAll(header)
	return whole(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(status)},
			Headers: edit.mutation(),
			Body:    body,
			Details: details,
		}},
	})
}

func replaceBody(body []byte) *extprocv3.BodyMutation {
	return &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}}
}

// shareWith adds to an answer for the client what a page's origin must be told.
func (m *reply) shareWith(header upstream.Header) {
	edit := &headerEdit{}
	edit.putAll(header)
	switch r := m.Response.(type) {
	case *extprocv3.ProcessingResponse_ImmediateResponse:
		r.ImmediateResponse.Headers = edit.joined(r.ImmediateResponse.GetHeaders())
	case *extprocv3.ProcessingResponse_ResponseHeaders:
		if common := r.ResponseHeaders.GetResponse(); common != nil {
			common.HeaderMutation = edit.joined(common.GetHeaderMutation())
		}
	}
}
