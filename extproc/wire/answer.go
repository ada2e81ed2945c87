package wire

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

// Answer is one answer of ours to a message of Envoy's. Its body, if it is large,
// must not be changed once it is made: see LargeBody.
type Answer struct {
	message *extprocv3.ProcessingResponse // nil: none is sent, or piece
	piece   []byte                        // a piece of a body in the mode Duplex, which is all of the message; nil: none
	tail    [][]byte                      // of a large body only the beginning may be in the message: this follows it, and is not copied
	last    bool                          // the stream ends after it
}

func answerOf(m *extprocv3.ProcessingResponse) *Answer { return &Answer{message: m} }

// IsImmediate reports whether the answer ends the exchange: nothing may follow it.
// A nil Answer is none.
func (a *Answer) IsImmediate() bool { return a != nil && a.message.GetImmediateResponse() != nil }

// IsLast reports whether the stream ends, with OK, after the answer. A nil Answer is
// not the last.
func (a *Answer) IsLast() bool { return a != nil && a.last }

// EndStream ends the stream without a message: Envoy goes on by itself with all that it
// holds for the stream, unchanged, and with what follows.
func EndStream() *Answer { return &Answer{last: true} }

// Last has the stream end after the answer, and returns the answer.
func (a *Answer) Last() *Answer {
	a.last = true
	return a
}

// WithMetadata sets the answer's dynamic metadata, and returns the answer.
func (a *Answer) WithMetadata(md Metadata) *Answer {
	a.message.DynamicMetadata = md.proto()
	return a
}

// PassRequestHeaders lets request headers through unchanged. The request filter
// gets the body next.
func PassRequestHeaders(md Metadata) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response:        &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}},
		DynamicMetadata: md.proto(),
	})
}

// FirstAttempt answers the request body: the body for attempt 1, its headers,
// and the plan. The route is chosen again, now that the plan is there. Without a
// call the body stays the one that Envoy holds: it need not be sent back to it,
// nor taken in.
func FirstAttempt(edit *HeaderMutation, call *upstream.Call, md Metadata) *Answer {
	var body *extprocv3.BodyMutation
	var tail [][]byte
	if call != nil {
		body, tail = replaceBody(call.Body), call.Tail
	}
	return &Answer{tail: tail, message: &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{
			Response: &extprocv3.CommonResponse{
				HeaderMutation:  edit.proto(),
				BodyMutation:    body,
				ClearRouteCache: true,
			},
		}},
		DynamicMetadata: md.proto(),
	}}
}

// LaterAttempt answers the headers of a retried attempt with another request.
// Envoy drops content-length here; the length goes as metadata to the
// header_mutation filter behind us, which puts it back.
func LaterAttempt(edit *HeaderMutation, call *upstream.Call) *Answer {
	return &Answer{tail: call.Tail, message: &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.proto(),
				BodyMutation:   replaceBody(call.Body),
			},
		}},
		DynamicMetadata: lengthOf(call).proto(),
	}}
}

func lengthOf(call *upstream.Call) Metadata {
	return Metadata(nil).Object(names.NamespaceAttempt, Metadata(nil).Text(names.FieldLength, strconv.Itoa(call.Size())))
}

// BodyMode is how Envoy is to send the body of an answer.
type BodyMode = modev3.ProcessingMode_BodySendMode

// The ways to send a body.
const (
	Unread BodyMode = modev3.ProcessingMode_NONE     // it passes without a message
	Whole  BodyMode = modev3.ProcessingMode_BUFFERED // in one message
	// WholeOrPart: in one message, unless it exceeds Envoy's buffer: then the message has
	// the part that fits, and the rest passes without a message.
	WholeOrPart BodyMode = modev3.ProcessingMode_BUFFERED_PARTIAL
	Streamed    BodyMode = modev3.ProcessingMode_STREAMED // piece by piece, as it comes
	// Duplex: piece by piece, and what goes on is sent back by us: as many pieces as
	// we like, when we like, and we may end it at any time.
	Duplex BodyMode = modev3.ProcessingMode_FULL_DUPLEX_STREAMED
)

// ReadResponse lets the headers of the final answer through with these changes and
// says how the body is to be sent to us.
func ReadResponse(edit *HeaderMutation, mode BodyMode, md Metadata) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{HeaderMutation: edit.proto()},
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

// ReplaceResponse answers response headers with another status, header and body;
// what the provider still sends is dropped, and waited for: what may go on for long
// is ended by an immediate response, which resets it.
func ReplaceResponse(edit *HeaderMutation, body []byte, md Metadata) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.proto(),
				BodyMutation:   replaceBody(body),
			},
		}},
		DynamicMetadata: md.proto(),
	})
}

// PassResponseHeaders lets response headers through with these changes.
func PassResponseHeaders(edit *HeaderMutation) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{HeaderMutation: edit.proto()},
		}},
	})
}

// PassUnread lets the headers of an attempt's answer through with these changes,
// and its body without asking us.
func PassUnread(edit *HeaderMutation) *Answer {
	answer := PassResponseHeaders(edit)
	answer.message.ModeOverride = &modev3.ProcessingMode{
		RequestHeaderMode:  modev3.ProcessingMode_SKIP,
		ResponseHeaderMode: modev3.ProcessingMode_SEND,
		ResponseBodyMode:   modev3.ProcessingMode_NONE,
	}
	return answer
}

// ResponseChunk answers a piece of a response body: it goes on unchanged, or out
// goes on in its place; an empty out swallows it.
func ResponseChunk(out []byte, unchanged bool, edit *HeaderMutation, md Metadata) *Answer {
	common := &extprocv3.CommonResponse{HeaderMutation: edit.proto()}
	if !unchanged {
		common.BodyMutation = replaceBody(out)
	}
	return answerOf(&extprocv3.ProcessingResponse{
		Response:        &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: common}},
		DynamicMetadata: md.proto(),
	})
}

// DuplexPiece sends a piece of a response body that is read in the mode Duplex. It has a
// byte at least, and is copied when it is sent.
func DuplexPiece(out []byte) *Answer { return &Answer{piece: out} }

// DuplexEnd sends the last piece of such a body, which may be empty.
func DuplexEnd(out []byte, md Metadata) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
			BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
				StreamedResponse: &extprocv3.StreamedBodyResponse{Body: out, EndOfStream: true},
			}},
		}}},
		DynamicMetadata: md.proto(),
	})
}

// MoreTime asks Envoy to wait longer for the answer to its current message.
func MoreTime(d time.Duration) *Answer {
	return answerOf(&extprocv3.ProcessingResponse{OverrideMessageTimeout: durationpb.New(d)})
}

// PassResponseTrailers lets trailers through.
func PassResponseTrailers() *Answer {
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}},
	})
}

// Immediate ends the exchange with an answer of ours. details is for Envoy's access
// log (%RESPONSE_CODE_DETAILS%).
func Immediate(status int, header upstream.Header, body []byte, details string) *Answer {
	edit := &HeaderMutation{}
	edit.SetAll(header)
	return answerOf(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(status)},
			Headers: edit.proto(),
			Body:    body,
			Details: details,
		}},
	})
}

func replaceBody(body []byte) *extprocv3.BodyMutation {
	return &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}}
}

// addHeaders adds headers to an answer that goes to the client: an immediate
// response, or an answer to response headers.
func (a *Answer) addHeaders(header upstream.Header) {
	edit := &HeaderMutation{}
	edit.SetAll(header)
	switch r := a.message.GetResponse().(type) {
	case *extprocv3.ProcessingResponse_ImmediateResponse:
		r.ImmediateResponse.Headers = edit.appendTo(r.ImmediateResponse.GetHeaders())
	case *extprocv3.ProcessingResponse_ResponseHeaders:
		if common := r.ResponseHeaders.GetResponse(); common != nil {
			common.HeaderMutation = edit.appendTo(common.GetHeaderMutation())
		}
	}
}
