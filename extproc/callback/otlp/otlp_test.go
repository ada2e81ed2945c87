package otlp

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

func TestTraceIDs(t *testing.T) {
	for in, want := range map[string]string{
		"0af7651916cd43dd8448eb211c80319c":     "0af7651916cd43dd8448eb211c80319c",
		"0AF76519-16CD-43DD-8448-EB211C80319C": "0af7651916cd43dd8448eb211c80319c",
		"my-trace":                             "670c0f140bf357e6d99293ad6cf0d246", // SHA-256, as Langfuse's SDKs
		"00000000000000000000000000000000":     "84e0c0eafaa95a34c293f278ac52e45c",
	} {
		if got := hex.EncodeToString(TraceID(in)); got != want {
			t.Errorf("TraceID(%q) = %s, want %s", in, got, want)
		}
	}
	if id := hex.EncodeToString(SpanID("00f067aa0ba902b7")); id != "00f067aa0ba902b7" {
		t.Errorf("SpanID = %s", id)
	}
	if a, b := SpanID("gen-1"), SpanID("gen-2"); len(a) != 8 || string(a) == string(b) {
		t.Errorf("SpanID = %x, %x", a, b)
	}
}

func TestExportReadsPartialSuccess(t *testing.T) {
	partial := func(n uint64, message string) []byte {
		inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), n)
		inner = protowire.AppendString(protowire.AppendTag(inner, 2, protowire.BytesType), message)
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
	}
	for name, c := range map[string]struct {
		answer []byte
		want   string
	}{
		"all taken":           {nil, ""},
		"a warning alone":     {partial(0, "deprecated"), ""},
		"some refused":        {partial(2, "too old"), "2 spans refused: too old"},
		"in no UTF-8":         {partial(2, "too \xff old"), "2 spans refused: "},
		"an answer in JSON":   {[]byte(`{"partialSuccess":{}}`), ""},
		"an answer of no use": {[]byte{0x0a, 0xff, 0xff}, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(c.answer) }))
		poster := callback.NewPoster(callback.PosterConfig{})
		err := Export(t.Context(), poster, callback.Post{URL: server.URL}, Traces(nil, Scope{Name: "x"}, []*tracepb.Span{{Name: "s"}}))
		poster.Close()
		server.Close()
		if got := strings.TrimPrefix(fmt.Sprint(err), "<nil>"); got != c.want || err != nil && !callback.IsPermanent(err) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
