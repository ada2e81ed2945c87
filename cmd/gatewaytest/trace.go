package gatewaytest

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// TraceCollector is an OTLP/HTTP receiver for the gateways that the test starts.
type TraceCollector struct {
	Address string // host:port

	mu    sync.Mutex
	raw   bytes.Buffer // all that came, as it came
	spans []*tracepb.Span
	err   error // of what could not be read
}

// NewTraceCollector serves until the test ends, and is named in the environment.
func NewTraceCollector(t *testing.T) *TraceCollector {
	t.Helper()
	c := &TraceCollector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.Address = server.Listener.Addr().String()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return c
}

func (c *TraceCollector) take(_ http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	m := &collectorpb.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(text, m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.err = err
		return
	}
	c.raw.Write(text)
	for _, resource := range m.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// All are the spans that came so far.
func (c *TraceCollector) All() []*tracepb.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Spans waits for n spans of a trace (its id in hex), and returns them in the order in
// which they came. More of them fail the test.
func (c *TraceCollector) Spans(t *testing.T, trace string, n int) []*tracepb.Span {
	t.Helper()
	var out []*tracepb.Span
	failed := func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	}
	asynctest.Await(t, "the spans of the request have come", func() bool {
		out = slices.DeleteFunc(c.All(), func(s *tracepb.Span) bool { return hex.EncodeToString(s.TraceId) != trace })
		return len(out) >= n || failed() != nil
	})
	if err := failed(); err != nil || len(out) != n {
		t.Fatalf("%d spans, not %d: %v, %v", len(out), n, out, err)
	}
	return out
}

// Text is all that came, as it came.
func (c *TraceCollector) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}
