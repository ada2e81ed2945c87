package trace

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// grpcCollector is an OTLP/gRPC receiver. What it gets it keeps as the one for
// HTTP does.
type grpcCollector struct {
	collectorpb.UnimplementedTraceServiceServer
	collector
	address string // host:port
	said    metadata.MD
}

func newGRPCCollector(t *testing.T) *grpcCollector {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &grpcCollector{address: l.Addr().String()}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return c
}

func (c *grpcCollector) Export(ctx context.Context, m *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse,
	error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches = append(c.batches, m)
	c.said, _ = metadata.FromIncomingContext(ctx)
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

func TestSpansTravelOverGRPC(t *testing.T) {
	for name, tc := range map[string]struct {
		asked bool
		env   func(address string) []string
	}{
		"the standard variables": {env: func(address string) []string {
			return []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://" + address, "OTEL_EXPORTER_OTLP_HEADERS",
				"x-team=llm"}
		}},
		"those for traces alone": {env: func(address string) []string {
			return []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://" + address,
				"OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-team=llm"}
		}},
		"the callback otel and LiteLLM's variables": {asked: true, env: func(address string) []string {
			return []string{"OTEL_EXPORTER", "otlp_grpc", "OTEL_ENDPOINT", "http://" + address, "OTEL_HEADERS", "x-team=llm"}
		}},
		"LiteLLM's address without a scheme": {asked: true, env: func(address string) []string {
			return []string{"OTEL_EXPORTER", "otlp_grpc", "OTEL_ENDPOINT", address, "OTEL_HEADERS", "x-team=llm"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newGRPCCollector(t)
			tracer := open(t, Config{Version: "1.2.3", Asked: tc.asked, Getenv: environment(t, tc.env(c.address)...)})
			began := time.Now()
			r := tracer.Begin(Parent{Traceparent: clientParent}, began)
			r.Attempt(1, began)
			r.End(&Summary{Operation: "chat", Asked: "m", Deployment: "d", Status: 200, Began: began, Took: time.Second,
				Attempts: []Attempt{{Deployment: "d", Began: began, Took: time.Second, Status: 200}}})
			if err := tracer.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			spans := c.spans(t)
			request, attempt := spans["chat m"], spans["attempt d"]
			if len(spans) != 2 || request == nil || attempt == nil {
				t.Fatalf("the spans are %v", spans)
			}
			if diff := cmp.Diff(request.SpanId, attempt.ParentSpanId); diff != "" {
				t.Error("the attempt's parent is not the request", diff)
			}
			if got := c.said.Get("x-team"); len(got) != 1 || got[0] != "llm" {
				t.Errorf("the collector was told %v", c.said)
			}
			if about := attributesOf(c.batches[0].ResourceSpans[0].Resource.Attributes); about["service.name"] != "isthmus" {
				t.Errorf("the resource is %v", about)
			}
		})
	}
}
