package wire

import (
	"slices"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// marshalAs writes an answer in the way that Sender sends it.
func marshalAs(answer *Answer) (mem.BufferSlice, error) {
	if len(answer.tail) > 0 || answer.piece != nil {
		return Codec().Marshal(answer)
	}
	return Codec().Marshal(answer.message)
}

// sizes are bodies on both sides of what the codec treats apart.
func sizes() []int { return []int{0, 1, LargeBody - 200, LargeBody, LargeBody + 1, 2 * LargeBody} }

func TestTheCodecReadsWhatProtobufReads(t *testing.T) {
	for _, size := range sizes() {
		body := []byte(strings.Repeat("é", size/2))
		for name, m := range map[string]*extprocv3.ProcessingRequest{
			"a request body": {Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: body, EndOfStream: true}},
				MetadataContext: exchange("id")},
			"a response body": {Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: body}},
				Attributes: attributes(2, "")},
			"headers": {Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: headerMap("a",
				string(body))}}},
		} {
			text, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got := &extprocv3.ProcessingRequest{}
			half := len(text) / 2
			if err := Codec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(text[:half]), mem.SliceBuffer(text[half:])}, got); err != nil {
				t.Fatalf("%s of %d bytes: %v", name, size, err)
			}
			if !proto.Equal(m, got) {
				t.Errorf("%s of %d bytes is read as something else", name, size)
			}
		}
	}
}

func TestTheCodecWritesWhatProtobufReads(t *testing.T) {
	edit := &HeaderMutation{}
	edit.Set("x", "y")
	for _, size := range sizes() {
		body := []byte(strings.Repeat("é", size/2))
		call := &upstream.Call{Body: body}
		inPieces := &upstream.Call{Body: body[:size/4*2], Tail: [][]byte{body[size/4*2:], []byte("end")}}
		for name, answer := range map[string]*Answer{
			"the first attempt":   FirstAttempt(edit, call, Metadata(nil).Text("id", "1")),
			"a later attempt":     LaterAttempt(edit, call),
			"the first in pieces": FirstAttempt(edit, inPieces, Metadata(nil).Text("id", "1")),
			"a later in pieces":   LaterAttempt(edit, inPieces),
			"a chunk":             ResponseChunk(body, false, edit, Metadata(nil).Number("n", 1)),
			"a piece":             DuplexPiece(body),
			"the last piece":      DuplexEnd(body, Metadata(nil).Number("n", 1)),
			"headers":             ReadResponse(edit, Streamed, nil),
		} {
			parts, err := marshalAs(answer)
			if err != nil {
				t.Fatal(err)
			}
			m := answer.message
			if answer.piece != nil {
				m = &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseBody{ResponseBody: &extprocv3.BodyResponse{
					Response: &extprocv3.CommonResponse{BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
						StreamedResponse: &extprocv3.StreamedBodyResponse{Body: body},
					}}}}}}
			}
			if _, common := bodyOf(m); len(answer.tail) > 0 {
				common.BodyMutation = replaceBody(slices.Concat(append([][]byte{common.GetBodyMutation().GetBody()}, answer.tail...)...))
			}
			want, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			wanted, got := &extprocv3.ProcessingResponse{}, &extprocv3.ProcessingResponse{}
			if err := proto.Unmarshal(want, wanted); err != nil {
				t.Fatal(err)
			}
			if err := proto.Unmarshal(parts.Materialize(), got); err != nil {
				t.Fatalf("%s of %d bytes: %v", name, size, err)
			}
			if !proto.Equal(wanted, got) {
				t.Errorf("%s of %d bytes is written as something else", name, size)
			}
		}
	}
}

// FuzzUnmarshalSmall: a message is what protobuf reads, or refused as there.
func FuzzUnmarshalSmall(f *testing.F) {
	for _, m := range []*extprocv3.ProcessingRequest{
		requestHeaders(true, ":path", "/", "a", "", "b", "c"),
		responseHeaders(false, ":status", "200", "content-type", "text/plain"),
		requestBody("hello"),
	} {
		text, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
		f.Add(append(text, text...))                                   // protobuf merges what comes twice
		f.Add(append(text[:len(text):len(text)], 0x22, 0x02, 0x18, 1)) // or keeps the last of a choice
	}
	f.Add([]byte("\x12\x07\x0a\x05\x0a\x03\x0a\x01\xff"))       // a name that is no UTF-8
	f.Add([]byte("\x12\x08\x0a\x06\x0a\x04\x12\x02ab"))         // a value as text
	f.Add([]byte("\x12\x0a\x0a\x03\x0a\x01a\x0a\x03\x0a\x01b")) // two lists
	f.Fuzz(func(t *testing.T, text []byte) {
		want, got := &extprocv3.ProcessingRequest{}, &extprocv3.ProcessingRequest{}
		refused, err := proto.Unmarshal(text, want), unmarshalSmall(text, got)
		if (refused == nil) != (err == nil) {
			t.Fatalf("protobuf says %v, we say %v", refused, err)
		}
		if err == nil && !proto.Equal(want, got) {
			t.Errorf("protobuf reads %v, we read %v", want, got)
		}
	})
}

// BenchmarkUnmarshal reads the headers of a request, as Envoy sends them, beside
// gRPC's own codec.
func BenchmarkUnmarshal(b *testing.B) {
	text, err := proto.Marshal(requestHeaders(false, ":method", "POST", ":path", "/v1/chat/completions", ":authority", "gateway", ":scheme",
		"http",
		"content-type", "application/json", "content-length", "1000", "user-agent", "bench", "accept", "*/*", "accept-encoding", "gzip",
		"authorization", "Bearer client", "x-forwarded-for", "10.0.0.1", "x-forwarded-proto", "http", "x-request-id", "1", "x-envoy-internal",
		"true"))
	if err != nil {
		b.Fatal(err)
	}
	data := mem.BufferSlice{mem.SliceBuffer(text)}
	for name, codec := range map[string]encoding.CodecV2{"ours": Codec(), "gRPC's": encoding.GetCodecV2("proto")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := codec.Unmarshal(data, &extprocv3.ProcessingRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzUnmarshalLarge: what protobuf refuses is refused, and what it reads is
// read.
func FuzzUnmarshalLarge(f *testing.F) {
	text, err := proto.Marshal(requestBody("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(append(text, 0x22, 0x7f))
	f.Fuzz(func(t *testing.T, text []byte) {
		want, got := proto.Unmarshal(text, &extprocv3.ProcessingRequest{}), unmarshalLarge(text, &extprocv3.ProcessingRequest{})
		if (want == nil) != (got == nil) {
			t.Fatalf("protobuf says %v, we say %v", want, got)
		}
	})
}
