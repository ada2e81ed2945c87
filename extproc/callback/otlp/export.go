package otlp

import (
	"context"
	"fmt"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// Export sends traces to post's URL with its headers. Spans that the receiver rejects
// in a good answer (partial_success) are a permanent error: nothing is sent again.
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
	var response collectorpb.ExportTraceServiceResponse
	_ = proto.Unmarshal(answer, &response) // in another form it says nothing: the status was good
	if n := response.GetPartialSuccess().GetRejectedSpans(); n > 0 {
		why := response.GetPartialSuccess().GetErrorMessage()
		return callback.Permanent(fmt.Errorf("%d spans refused: %s", n, callback.WithoutEcho(why, body)))
	}
	return nil
}
