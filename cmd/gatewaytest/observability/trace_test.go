package observability

import (
	"bytes"
	"encoding/hex"
	"net"
	"strings"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

func TestSpansJoinTheClientsTraceAndTheProvidersJoinThem(t *testing.T) {
	c := gatewaytest.NewTraceCollector(t)
	bad, good := gatewaytest.NewProvider(t, gatewaytest.FailWith(500)), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", bad.Base(), "")+gatewaytest.Entry("other", good.Base(), "")+
		"router_settings: {num_retries: 0, fallbacks: [{m: [other]}]}\n")
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	got := s.Post("/v1/chat/completions", gatewaytest.AskStream, "Traceparent", "00-"+trace+"-"+span+"-01", "Tracestate", "vendor=1")
	if got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	byID, byName := map[string]*tracepb.Span{}, map[string]*tracepb.Span{}
	for _, each := range c.Spans(t, trace, 3) {
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
	for name, p := range map[string]*gatewaytest.Provider{"the failed one": bad, "the one that answered": good} {
		calls := p.Calls()
		if len(calls) != 1 {
			t.Fatalf("%s was called %d times", name, len(calls))
		}
		parts := strings.Split(calls[0].Header.Get("Traceparent"), "-")
		if len(parts) != 4 || parts[1] != trace || parts[3] != "01" {
			t.Fatalf("%s was told %q", name, calls[0].Header.Get("Traceparent"))
		}
		attempt := byID[parts[2]]
		if attempt == nil || attempt.Kind != tracepb.Span_SPAN_KIND_CLIENT || !bytes.Equal(attempt.ParentSpanId, request.SpanId) {
			t.Errorf("%s was told of %s, which is %v", name, parts[2], attempt)
		}
		if calls[0].Header.Get("Tracestate") != "vendor=1" {
			t.Errorf("%s got the tracestate %q", name, calls[0].Header.Get("Tracestate"))
		}
	}
	if len(request.Events) == 0 || request.Events[0].Name != "isthmus.fallback" {
		t.Errorf("events: %v", request.Events)
	}
}

func TestSpansThatWaitAreSentWhenTheGatewayEnds(t *testing.T) {
	c := gatewaytest.NewTraceCollector(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), ""))
	const trace = "0af7651916cd43dd8448eb211c80319d"
	s.Post("/v1/chat/completions", gatewaytest.Ask, "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	s.Stop()
	c.Spans(t, trace, 2)
}

func TestWithoutTracesTheClientsTraceparentReachesTheProvider(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	s.Post("/v1/chat/completions", gatewaytest.Ask, "Traceparent", parent)
	if got := p.Calls()[0].Header.Get("Traceparent"); got != parent {
		t.Errorf("the provider got %q", got)
	}
}

// TestTheRequestsSpanJoinsThatOfAnEnvoyThatTraces has Envoy send its own spans to
// the same collector.
func TestTheRequestsSpanJoinsThatOfAnEnvoyThatTraces(t *testing.T) {
	c, p := gatewaytest.NewTraceCollector(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	a := gatewaytest.Serve(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	config := string(a.EnvoyConfig("--listen", "127.0.0.1:"+a.Port, "--admin", "unix://"+a.AdminSocket(), "--processor", a.Processor,
		"--access-log", ""))
	a.StartEnvoy("1.40.0", []byte(withTracing(t, config, c.Address)))
	const trace, span = "0af7651916cd43dd8448eb211c80319e", "b7ad6b7169203331"
	if got := a.Post("/v1/chat/completions", gatewaytest.Ask, "Traceparent", "00-"+trace+"-"+span+"-01"); got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	var ours *tracepb.Span
	byID := map[string]*tracepb.Span{}
	asynctest.Await(t, "our spans and Envoy's have come", func() bool {
		for _, each := range c.All() {
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
	if got := p.Calls()[0].Header.Get("Traceparent"); !strings.Contains(got, trace) {
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
	tracing := indent + "tracing: {provider: {name: envoy.tracers.opentelemetry, " +
		"typed_config: {'@type': type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig, " +
		"service_name: envoy, http_service: {http_uri: {uri: 'http://" + address + "/v1/traces', cluster: collector, timeout: 1s}}}}}\n"
	cluster := "  clusters:\n    - {name: collector, type: STATIC, load_assignment: {cluster_name: collector, " +
		"endpoints: [{lb_endpoints: [{endpoint: " +
		"{address: {socket_address: {address: " + host + ", port_value: " + port + "}}}}]}]}}\n"
	return strings.Replace(before, "  clusters:\n", cluster, 1) + manager + tracing + after
}
