package wire

import (
	"fmt"
	"slices"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec for everything else
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Codec is gRPC's protobuf codec without a piece of memory for each header and
// without the copies of large bodies: a request's body is a part of the message
// that gRPC received, and an answer's body is sent from where it is, in pieces if
// need be. A body of 50 MB that one edit makes the provider's costs its own size
// once here, beside what gRPC reads it into, instead of five times.
// Give it to the server with grpc.ForceServerCodecV2.
func Codec() encoding.CodecV2 { return codec{encoding.GetCodecV2("proto")} }

type codec struct{ encoding.CodecV2 }

// LargeBody is from which size on, in bytes, a body is not copied: one of an answer
// is sent from where it is, and must not be changed after its answer was made.
const LargeBody = 16 << 10

// Field numbers of envoy/service/ext_proc/v3/external_processor.proto.
const (
	inRequestHeaders  = 2 // ProcessingRequest.request_headers: HttpHeaders
	inResponseHeaders = 3 // ProcessingRequest.response_headers: HttpHeaders
	inRequestBody     = 4 // ProcessingRequest.request_body: HttpBody
	inResponseBody    = 5 // ProcessingRequest.response_body: HttpBody
	httpHeadersMap    = 1 // HttpHeaders.headers: HeaderMap
	httpBodyBody      = 1 // HttpBody.body

	outRequestHeaders = 1 // ProcessingResponse.request_headers: HeadersResponse
	outRequestBody    = 3 // ProcessingResponse.request_body: BodyResponse
	outResponseBody   = 4 // ProcessingResponse.response_body: BodyResponse
	answerCommon      = 1 // BodyResponse.response, HeadersResponse.response: CommonResponse
	commonMutation    = 3 // CommonResponse.body_mutation: BodyMutation
	mutationBody      = 1 // BodyMutation.body
	mutationStreamed  = 3 // BodyMutation.streamed_response: StreamedBodyResponse
	streamedBody      = 1 // StreamedBodyResponse.body
)

// Unmarshal reads a message. A large ProcessingRequest keeps the memory it is
// read from.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	request, ok := v.(*extprocv3.ProcessingRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if data.Len() >= LargeBody {
		return unmarshalLarge(data.Materialize(), request)
	}
	text := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer text.Free()
	return unmarshalSmall(text.ReadOnlyData(), request)
}

// unmarshalLarge parts the body from the rest, which is read as ever.
func unmarshalLarge(text []byte, into *extprocv3.ProcessingRequest) error {
	parts, err := split(text, inRequestBody, inResponseBody)
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(parts.rest, into); err != nil || parts.number == 0 {
		return err
	}
	body, err := readBody(parts.content)
	if err != nil {
		return err
	}
	if parts.number == inRequestBody {
		into.Request = &extprocv3.ProcessingRequest_RequestBody{RequestBody: body}
	} else {
		into.Request = &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: body}
	}
	return nil
}

func readBody(text []byte) (*extprocv3.HttpBody, error) {
	parts, err := split(text, httpBodyBody)
	if err != nil {
		return nil, err
	}
	body := &extprocv3.HttpBody{}
	if err := proto.Unmarshal(parts.rest, body); err != nil {
		return nil, err
	}
	body.Body = parts.content
	return body, nil
}

// message is a message in wire form with one field taken out.
type message struct {
	rest    []byte
	number  protowire.Number // of that field; 0 when it is absent
	content []byte           // its bytes, part of the message's memory
}

// split takes the last of these fields, which hold bytes, out of a message.
func split(text []byte, numbers ...protowire.Number) (m message, err error) {
	for len(text) > 0 {
		number, kind, tag := protowire.ConsumeTag(text)
		if tag < 0 {
			return m, fmt.Errorf("read a message of Envoy's: %w", protowire.ParseError(tag))
		}
		size := protowire.ConsumeFieldValue(number, kind, text[tag:])
		if size < 0 {
			return m, fmt.Errorf("read a message of Envoy's: %w", protowire.ParseError(size))
		}
		if kind == protowire.BytesType && slices.Contains(numbers, number) {
			m.number = number
			m.content, _ = protowire.ConsumeBytes(text[tag:])
		} else {
			m.rest = append(m.rest, text[:tag+size]...)
		}
		text = text[tag+size:]
	}
	return m, nil
}

// Marshal writes a message. A large body is not copied into it: it must not be
// changed any more.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	switch m := v.(type) {
	case *Answer:
		if m.piece != nil {
			return marshalPiece(m.piece), nil
		}
		return marshalLarge(m)
	case *extprocv3.ProcessingResponse:
		if _, common := bodyOf(m); len(common.GetBodyMutation().GetBody()) >= LargeBody {
			return marshalLarge(answerOf(m))
		}
	}
	return c.CodecV2.Marshal(v)
}

// bodyOf is what an answer says that may bring a body, and the field that it
// stands in; or nothing.
func bodyOf(answer *extprocv3.ProcessingResponse) (protowire.Number, *extprocv3.CommonResponse) {
	switch r := answer.GetResponse().(type) {
	case *extprocv3.ProcessingResponse_RequestBody:
		return outRequestBody, r.RequestBody.GetResponse()
	case *extprocv3.ProcessingResponse_ResponseBody:
		return outResponseBody, r.ResponseBody.GetResponse()
	case *extprocv3.ProcessingResponse_RequestHeaders:
		return outRequestHeaders, r.RequestHeaders.GetResponse()
	}
	return 0, nil
}

// marshalLarge writes everything but the body, ending with the lengths that
// announce it, and lets the body follow as it stands, piece by piece.
func marshalLarge(answer *Answer) (mem.BufferSlice, error) {
	number, common := bodyOf(answer.message)
	head, err := proto.Marshal(&extprocv3.CommonResponse{
		Status: common.GetStatus(), HeaderMutation: common.GetHeaderMutation(), Trailers: common.GetTrailers(),
		ClearRouteCache: common.GetClearRouteCache(),
	})
	if err != nil {
		return nil, err
	}
	m := answer.message
	rest, err := proto.Marshal(&extprocv3.ProcessingResponse{
		DynamicMetadata: m.GetDynamicMetadata(), ModeOverride: m.GetModeOverride(), OverrideMessageTimeout: m.GetOverrideMessageTimeout(),
	})
	if err != nil {
		return nil, err
	}
	body := mem.BufferSlice{nil, mem.SliceBuffer(common.GetBodyMutation().GetBody())}
	for _, piece := range answer.tail {
		body = append(body, mem.SliceBuffer(piece))
	}
	size := 0
	for _, piece := range body[1:] {
		size += piece.Len()
	}
	mutation := protowire.SizeTag(mutationBody) + protowire.SizeBytes(size)
	inner := len(head) + protowire.SizeTag(commonMutation) + protowire.SizeBytes(mutation)
	out := make([]byte, 0, len(rest)+len(head)+64)
	out = append(out, rest...)
	out = appendLength(out, number, protowire.SizeTag(answerCommon)+protowire.SizeBytes(inner))
	out = appendLength(out, answerCommon, inner)
	out = append(out, head...)
	out = appendLength(out, commonMutation, mutation)
	out = appendLength(out, mutationBody, size)
	body[0] = mem.SliceBuffer(out)
	return body, nil
}

// marshalPiece writes the message that has a piece of a body in the mode Duplex and
// nothing else. The piece is copied.
func marshalPiece(piece []byte) mem.BufferSlice {
	streamed := protowire.SizeTag(streamedBody) + protowire.SizeBytes(len(piece))
	mutation := protowire.SizeTag(mutationStreamed) + protowire.SizeBytes(streamed)
	common := protowire.SizeTag(commonMutation) + protowire.SizeBytes(mutation)
	answer := protowire.SizeTag(answerCommon) + protowire.SizeBytes(common)
	size := protowire.SizeTag(outResponseBody) + protowire.SizeBytes(answer)
	write := func(out []byte) []byte {
		out = appendLength(out, outResponseBody, answer)
		out = appendLength(out, answerCommon, common)
		out = appendLength(out, commonMutation, mutation)
		out = appendLength(out, mutationStreamed, streamed)
		return append(appendLength(out, streamedBody, len(piece)), piece...)
	}
	if mem.IsBelowBufferPoolingThreshold(size) {
		return mem.BufferSlice{mem.SliceBuffer(write(make([]byte, 0, size)))}
	}
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(size)
	*buffer = write((*buffer)[:0])
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}
}

// appendLength begins a field of n bytes.
func appendLength(dst []byte, number protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.BytesType), uint64(n))
}
