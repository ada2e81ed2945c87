package cli

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP/HTTP receiver for the gateways that the test starts.
type collector struct {
	address string // host:port

	mu   sync.Mutex
	raw  bytes.Buffer
	got  []*tracepb.Span
	fail error
}

// newCollector serves until the test ends, and is named in the environment.
func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(server.Close)
	c.address = server.Listener.Addr().String()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	return c
}

func (c *collector) take(_ http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	m := &collectorpb.ExportTraceServiceRequest{}
	if err == nil {
		err = proto.Unmarshal(text, m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fail = err
		return
	}
	c.raw.Write(text)
	for _, resource := range m.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.got = append(c.got, scope.Spans...)
		}
	}
}

// spans waits for so many spans of a trace, and returns them in the order of
// their begin.
func (c *collector) spans(t *testing.T, trace string, n int) []*tracepb.Span {
	t.Helper()
	var out []*tracepb.Span
	await(t, 20*time.Second, "the spans of the request have come", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		out = out[:0]
		for _, s := range c.got {
			if hex.EncodeToString(s.TraceId) == trace {
				out = append(out, s)
			}
		}
		return len(out) >= n || c.fail != nil
	})
	if c.fail != nil || len(out) != n {
		t.Fatalf("%d spans, not %d: %v, %v", len(out), n, out, c.fail)
	}
	return out
}

func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

func TestSpansJoinTheClientsTraceAndTheProvidersJoinThem(t *testing.T) {
	c := newCollector(t)
	bad, good := newProvider(t, failWith(500)), newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", bad.base(), "")+entry("other", good.base(), "")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [other]}]}\n")
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	if got := s.post("/v1/chat/completions", askStream, "Traceparent", "00-"+trace+"-"+span+"-01", "Tracestate", "vendor=1"); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	byID, byName := map[string]*tracepb.Span{}, map[string]*tracepb.Span{}
	for _, each := range c.spans(t, trace, 3) {
		byID[hex.EncodeToString(each.SpanId)] = each
		name, _, _ := strings.Cut(each.Name, " ")
		if name == "chat" {
			byName[name] = each
		}
	}
	request := byName["chat"]
	if request == nil || request.Name != "chat m" || hex.EncodeToString(request.ParentSpanId) != span {
		t.Fatalf("the request's span is %v", request)
	}
	for name, p := range map[string]*provider{"the failed one": bad, "the one that answered": good} {
		calls := p.calls()
		if len(calls) != 1 {
			t.Fatalf("%s was called %d times", name, len(calls))
		}
		parts := strings.Split(calls[0].header.Get("Traceparent"), "-")
		if len(parts) != 4 || parts[1] != trace || parts[3] != "01" {
			t.Fatalf("%s was told %q", name, calls[0].header.Get("Traceparent"))
		}
		attempt := byID[parts[2]]
		if attempt == nil || attempt.Kind != tracepb.Span_SPAN_KIND_CLIENT || !bytes.Equal(attempt.ParentSpanId, request.SpanId) {
			t.Errorf("%s was told of %s, which is %v", name, parts[2], attempt)
		}
		if calls[0].header.Get("Tracestate") != "vendor=1" {
			t.Errorf("%s got the tracestate %q", name, calls[0].header.Get("Tracestate"))
		}
	}
	if len(request.Events) == 0 || request.Events[0].Name != "isthmus.fallback" {
		t.Errorf("events: %v", request.Events)
	}
}

func TestSpansThatWaitAreSentWhenTheGatewayEnds(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
	s := startStack(t, "model_list:\n"+entry("m", newProvider(t, openAI).base(), ""))
	const trace = "0af7651916cd43dd8448eb211c80319d"
	s.post("/v1/chat/completions", ask, "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	s.stop()
	c.spans(t, trace, 2)
}

func TestWithoutTracesTheClientsTraceparentReachesTheProvider(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s.post("/v1/chat/completions", ask, "Traceparent", parent)
	if got := p.calls()[0].header.Get("Traceparent"); got != parent {
		t.Errorf("the provider got %q", got)
	}
}

// TestTheRequestsSpanJoinsThatOfAnEnvoyThatTraces has Envoy send its own spans to
// the same collector.
func TestTheRequestsSpanJoinsThatOfAnEnvoyThatTraces(t *testing.T) {
	c, p := newCollector(t), newProvider(t, openAI)
	a := serve(t, "model_list:\n"+entry("m", p.base(), ""))
	config := string(a.envoyConfig("--listen", "127.0.0.1:"+a.port, "--admin", "unix://"+a.adminSocket(), "--processor", a.grpc, "--access-log", ""))
	a.start("1.40.0", []byte(withTracing(t, config, c.address)))
	const trace, span = "0af7651916cd43dd8448eb211c80319e", "b7ad6b7169203331"
	if got := a.post("/v1/chat/completions", ask, "Traceparent", "00-"+trace+"-"+span+"-01"); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	var ours *tracepb.Span
	byID := map[string]*tracepb.Span{}
	await(t, 40*time.Second, "our spans and Envoy's have come", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, each := range c.got {
			byID[hex.EncodeToString(each.SpanId)] = each
			if each.Name == "chat m" {
				ours = each
			}
		}
		return ours != nil && byID[hex.EncodeToString(ours.ParentSpanId)] != nil
	})
	// Up the chain: Envoy's span of the ext_proc stream, if it makes one, its span
	// of the request, the client's.
	steps := 0
	for at := ours; at != nil; at = byID[hex.EncodeToString(at.ParentSpanId)] {
		if hex.EncodeToString(at.TraceId) != trace {
			t.Errorf("%s is in another trace", at.Name)
		}
		if steps++; hex.EncodeToString(at.ParentSpanId) == span {
			break
		}
	}
	if steps < 2 {
		t.Errorf("our span's parent is the client's, not Envoy's: %v", ours)
	}
	if got := p.calls()[0].header.Get("Traceparent"); !strings.Contains(got, trace) {
		t.Errorf("the provider got %q", got)
	}
}

// withTracing makes a bootstrap's listener trace to a collector.
func withTracing(t *testing.T, config, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	const manager = "'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
	before, after, ok := strings.Cut(config, manager)
	if !ok {
		t.Fatal("no connection manager in the configuration")
	}
	indent := before[strings.LastIndexByte(before, '\n')+1:]
	tracing := indent + "tracing: {provider: {name: envoy.tracers.opentelemetry, typed_config: {'@type': type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, " +
		"service_name: envoy, http_service: {http_uri: {uri: 'http://" + address + "/v1/traces', cluster: collector, timeout: 1s}}}}}\n"
	cluster := "  clusters:\n    - {name: collector, type: STATIC, load_assignment: {cluster_name: collector, endpoints: [{lb_endpoints: [{endpoint: " +
		"{address: {socket_address: {address: " + host + ", port_value: " + port + "}}}}]}]}}\n"
	return strings.Replace(before, "  clusters:\n", cluster, 1) + manager + tracing + after
}
