package extproc

import (
	"strconv"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// This file is the only one that builds ProcessingResponse values. They carry
// keys and prompts: none of them is ever printed.

// continueHeaders lets request headers pass; Envoy sends the body next.
func continueHeaders(md metadata) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response:        &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}},
		DynamicMetadata: md.proto(),
	}
}

// firstAttempt answers the request body: the body for attempt 1, its headers,
// and the plan. The route is chosen again, now that the plan is there. A nil body
// leaves the one that Envoy holds: it need not be sent back to it, nor taken in.
func firstAttempt(edit *headerEdit, body *extprocv3.BodyMutation, md metadata) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{
			Response: &extprocv3.CommonResponse{
				HeaderMutation:  edit.mutation(),
				BodyMutation:    body,
				ClearRouteCache: true,
			},
		}},
		DynamicMetadata: md.proto(),
	}
}

// laterAttempt answers the headers of a retried attempt with another request.
// Envoy drops content-length here; the length goes as metadata to the
// header_mutation filter behind us, which puts it back.
func laterAttempt(edit *headerEdit, body []byte) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.mutation(),
				BodyMutation:   replaceBody(body),
			},
		}},
		DynamicMetadata: metadata(nil).object(metadataAttempt, metadata(nil).text("length", strconv.Itoa(len(body)))).proto(),
	}
}

// passAttempt lets an attempt through unchanged.
func passAttempt() *extprocv3.ProcessingResponse { return continueHeaders(nil) }

// responseHeaders answers response headers and says how the body is to be read.
func responseHeaders(edit *headerEdit, mode modev3.ProcessingMode_BodySendMode, md metadata) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
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
	}
}

// replaceResponse answers response headers with another status, header and body;
// what the provider still sends is dropped. (An immediate response would close
// the client's connection here.)
func replaceResponse(edit *headerEdit, body []byte, md metadata) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{
				Status:         extprocv3.CommonResponse_CONTINUE_AND_REPLACE,
				HeaderMutation: edit.mutation(),
				BodyMutation:   replaceBody(body),
			},
		}},
		DynamicMetadata: md.proto(),
	}
}

// passResponseHeaders lets response headers through with these changes.
func passResponseHeaders(edit *headerEdit) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{HeaderMutation: edit.mutation()},
		}},
	}
}

// responseChunk answers a piece of a response body: out nil leaves it as it is,
// an empty out swallows it.
func responseChunk(out []byte, unchanged bool, edit *headerEdit, md metadata) *extprocv3.ProcessingResponse {
	common := &extprocv3.CommonResponse{HeaderMutation: edit.mutation()}
	if !unchanged {
		common.BodyMutation = replaceBody(out)
	}
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{Response: common}},

		DynamicMetadata: md.proto(),
	}
}

// moreTime asks Envoy to wait longer for the answer to its current message.
func moreTime(d time.Duration) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{OverrideMessageTimeout: durationpb.New(d)}
}

// passResponseTrailers lets trailers through.
func passResponseTrailers() *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}},
	}
}

// immediate ends the exchange with an answer of ours.
func immediate(status int, header upstream.Header, body []byte, details string) *extprocv3.ProcessingResponse {
	edit := &headerEdit{}
	edit.putAll(header)
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(status)},
			Headers: edit.mutation(),
			Body:    body,
			Details: details,
		}},
	}
}

func replaceBody(body []byte) *extprocv3.BodyMutation {
	return &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_Body{Body: body}}
}
