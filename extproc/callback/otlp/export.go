package otlp

import (
	"context"
	"fmt"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// Export sends traces. post has URL and headers; spans that the receiver says
// it refused are a permanent error.
func Export(ctx context.Context, p *callback.Poster, post callback.Post, traces *tracepb.TracesData) error {
	body, err := proto.Marshal(traces)
	if err != nil {
		return callback.Permanent(fmt.Errorf("encode spans: %w", err))
	}
	post.Body, post.ContentType = body, "application/x-protobuf"
	answer, err := p.Do(ctx, post)
	if err != nil {
		return err
	}
	if n, why := rejected(answer); n > 0 {
		return callback.Permanent(fmt.Errorf("%d spans refused: %s", n, callback.WithoutEcho(why, body)))
	}
	return nil
}

// rejected reads ExportTraceServiceResponse: partial_success (1) holds
// rejected_spans (1) and error_message (2). An answer in another form says
// nothing: the status was good.
func rejected(answer []byte) (spans int64, why string) {
	partial := field(answer, 1)
	if partial == nil {
		return 0, ""
	}
	for b := partial; len(b) > 0; {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, ""
		}
		b = b[n:]
		if num == 1 && kind == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return 0, ""
			}
			spans = int64(v)
		}
		n = protowire.ConsumeFieldValue(num, kind, b)
		if n < 0 {
			return 0, ""
		}
		b = b[n:]
	}
	return spans, string(field(partial, 2))
}

// field returns the bytes of the first length-delimited field with a number.
func field(b []byte, want protowire.Number) []byte {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if num == want && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return nil
			}
			return v
		}
		n = protowire.ConsumeFieldValue(num, kind, b)
		if n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}
