package extproc

import (
	"strings"
	"testing"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// sizes are bodies on both sides of what the codec treats apart.
func sizes() []int { return []int{0, 1, largeBody - 200, largeBody, largeBody + 1, 2 * largeBody} }

func TestTheCodecReadsWhatProtobufReads(t *testing.T) {
	for _, size := range sizes() {
		body := []byte(strings.Repeat("é", size/2))
		for name, m := range map[string]*extprocv3.ProcessingRequest{
			"a request body":  {Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: body, EndOfStream: true}}, MetadataContext: named("id")},
			"a response body": {Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: body}}, Attributes: attrs(2)},
			"headers":         {Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{Headers: headerMap("a", string(body))}}},
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
	edit := &headerEdit{}
	edit.put("x", "y")
	for _, size := range sizes() {
		body := []byte(strings.Repeat("é", size/2))
		for name, m := range map[string]*extprocv3.ProcessingResponse{
			"the first attempt": firstAttempt(edit, replaceBody(body), metadata(nil).text("id", "1")),
			"a later attempt":   laterAttempt(edit, body),
			"a chunk":           responseChunk(body, false, edit, metadata(nil).number("n", 1)),
			"headers":           responseHeaders(edit, modev3.ProcessingMode_STREAMED, nil),
		} {
			parts, err := Codec().Marshal(m)
			if err != nil {
				t.Fatal(err)
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
