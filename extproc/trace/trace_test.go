package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// collector is an OTLP/HTTP receiver.
type collector struct {
	*httptest.Server
	mu      sync.Mutex
	batches []*collectorpb.ExportTraceServiceRequest
	header  http.Header
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	text, err := io.ReadAll(body)
	m := &collectorpb.ExportTraceServiceRequest{}
	if err = errors.Join(err, proto.Unmarshal(text, m)); err != nil || r.URL.Path != "/v1/traces" ||
		r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches, c.header = append(c.batches, m), r.Header.Clone()
}

// spans are all that came, by name.
func (c *collector) spans(t *testing.T) map[string]*tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]*tracepb.Span{}
	for _, b := range c.batches {
		for _, r := range b.ResourceSpans {
			for _, s := range r.ScopeSpans {
				for _, span := range s.Spans {
					out[span.Name] = span
				}
			}
		}
	}
	return out
}

// environment is a Getenv; what the SDK reads itself is set in the process too.
func environment(t *testing.T, pairs ...string) func(string) string {
	t.Helper()
	values := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
		t.Setenv(pairs[i], pairs[i+1])
	}
	return func(name string) string { return values[name] }
}

func open(t *testing.T, c Config) *Tracer {
	t.Helper()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	tracer, err := Open(t.Context(), c)
	if err != nil || tracer == nil {
		t.Fatalf("Open = %v, %v", tracer, err)
	}
	return tracer
}

func attributesOf(list []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, kv := range list {
		out[kv.Key] = valueOf(kv.Value)
	}
	return out
}

func valueOf(v *commonpb.AnyValue) any {
	switch v := v.Value.(type) {
	case *commonpb.AnyValue_StringValue:
		return v.StringValue
	case *commonpb.AnyValue_IntValue:
		return int(v.IntValue)
	case *commonpb.AnyValue_DoubleValue:
		return v.DoubleValue
	case *commonpb.AnyValue_BoolValue:
		return v.BoolValue
	case *commonpb.AnyValue_ArrayValue:
		var all []any
		for _, each := range v.ArrayValue.Values {
			all = append(all, valueOf(each))
		}
		return all
	}
	return nil
}

const clientParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestACascadeIsARequestWithAttemptsThatJoinsTheClientsTrace(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Version: "1.2.3", Getenv: environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL, "OTEL_EXPORTER_OTLP_HEADERS",
		"x-team=llm")})
	began := time.Unix(1_700_000_000, 0)
	r := tracer.Begin(Parent{Traceparent: clientParent}, began)
	r.Attempt(1, began.Add(time.Millisecond))
	second := r.Attempt(2, began.Add(2*time.Second))
	if again := r.Attempt(2, began); again != second {
		t.Errorf("attempt 2 is %s and then %s", second, again)
	}
	r.End(&Summary{
		ID: "x1", Path: "/v1/chat/completions", Operation: "chat", Asked: "m", Group: "other", Deployment: "d2", System: "openai",
		ResponseID: "chatcmpl-1", ResponseModel: "gpt-x", FinishReason: "stop", Began: began, Took: 5 * time.Second, FirstToken: 3 * time.Second,
		Stream: true, Status: 200, Cache: "miss", Usage: &Usage{Input: 10, Output: 20, CacheRead: 4},
		Attempts: []Attempt{
			{Group: "m", Deployment: "d1", System: "anthropic", Model: "claude", Host: "api.a.test", Port: 443, Began: began.Add(time.Millisecond),
				Took: time.Second, Status: 500, Error: "500", Cooled: true},
			{Group: "other", Deployment: "d2", System: "openai", Model: "gpt", Host: "b.test", Port: 8080, Began: began.Add(2 * time.Second),
				Took: 3 * time.Second, Status: 200, Fallback: 1},
		},
	})
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := c.spans(t)
	request, one, two := spans["chat m"], spans["attempt d1"], spans["attempt d2"]
	if request == nil || one == nil || two == nil || len(spans) != 3 {
		t.Fatalf("the spans are %v", spans)
	}
	expectJoined(t, request, one, two)
	if want := "00-0af7651916cd43dd8448eb211c80319c-" + hex.EncodeToString(two.SpanId) + "-01"; second != want {
		t.Errorf("the provider was told %s, not %s", second, want)
	}
	if took := request.EndTimeUnixNano - request.StartTimeUnixNano; took != uint64(5*time.Second) {
		t.Errorf("the request took %d ns", took)
	}
	expectTold(t, request, one)
	if c.header.Get("X-Team") != "llm" {
		t.Errorf("the collector got the header %v", c.header)
	}
	about := attributesOf(c.batches[0].ResourceSpans[0].Resource.Attributes)
	if about["service.name"] != "isthmus" || about["service.version"] != "1.2.3" {
		t.Errorf("the resource is %v", about)
	}
}

// expectJoined checks that a request and its attempts, of which the first failed,
// are spans of the client's trace.
func expectJoined(t *testing.T, request, one, two *tracepb.Span) {
	t.Helper()
	hex := hex.EncodeToString
	for _, s := range []*tracepb.Span{request, one, two} {
		if hex(s.TraceId) != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s is in the trace %x", s.Name, s.TraceId)
		}
	}
	if hex(request.ParentSpanId) != "b7ad6b7169203331" || !bytes.Equal(one.ParentSpanId, request.SpanId) ||
		!bytes.Equal(two.ParentSpanId, request.SpanId) {
		t.Errorf("parents: %x, %x, %x; the request is %x", request.ParentSpanId, one.ParentSpanId, two.ParentSpanId, request.SpanId)
	}
	if request.Kind != tracepb.Span_SPAN_KIND_SERVER || one.Kind != tracepb.Span_SPAN_KIND_CLIENT {
		t.Errorf("kinds: %v, %v", request.Kind, one.Kind)
	}
	if one.Status.GetCode() != tracepb.Status_STATUS_CODE_ERROR || two.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR ||
		request.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("status: %v, %v, %v", request.Status, one.Status, two.Status)
	}
}

// expectTold checks what the spans say of a request and of its first attempt.
func expectTold(t *testing.T, request, one *tracepb.Span) {
	t.Helper()
	want := map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
		"gen_ai.response.id": "chatcmpl-1", "gen_ai.response.model": "gpt-x",
		"gen_ai.response.finish_reasons": []any{"stop"},
		"gen_ai.usage.input_tokens":      10, "gen_ai.usage.output_tokens": 20, "gen_ai.usage.cache_read.input_tokens": 4,
		"url.path": "/v1/chat/completions", "http.response.status_code": 200, "isthmus.request.id": "x1",
		"isthmus.deployment": "d2", "isthmus.model_group": "other", "isthmus.cache": "miss",
		"isthmus.stream": true, "isthmus.attempts": 2, "isthmus.time_to_first_token": 3.0,
	}
	if diff := cmp.Diff(want, attributesOf(request.Attributes)); diff != "" {
		t.Errorf("the request's attributes (-want +got):\n%s", diff)
	}
	want = map[string]any{
		"gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude", "server.address": "api.a.test",
		"server.port": 443, "http.response.status_code": 500, "error.type": "500",
		"isthmus.deployment": "d1", "isthmus.model_group": "m",
	}
	if diff := cmp.Diff(want, attributesOf(one.Attributes)); diff != "" {
		t.Errorf("attempt 1's attributes (-want +got):\n%s", diff)
	}
	var events []string
	for _, e := range request.Events {
		events = append(events, e.Name)
	}
	if diff := cmp.Diff([]string{"isthmus.cooldown", "isthmus.fallback"}, events); diff != "" {
		t.Errorf("events: %s", diff)
	}
}

func TestARequestThatTheClientDoesNotSampleSendsNothingButStillHasATrace(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Getenv: environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)})
	r := tracer.Begin(Parent{Traceparent: strings.TrimSuffix(clientParent, "01") + "00"}, time.Now())
	if got := r.Attempt(1, time.Now()); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") || !strings.HasSuffix(got, "-00") ||
		strings.Contains(got, "b7ad6b7169203331") {
		t.Errorf("the provider is told %q", got)
	}
	r.End(&Summary{Operation: "chat", Attempts: []Attempt{{}}})
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spans := c.spans(t); len(spans) != 0 {
		t.Errorf("sent: %v", spans)
	}
}

func TestNobodyTracesUnlessAsked(t *testing.T) {
	for _, tc := range []struct {
		name  string
		asked bool
		env   []string
		want  settings
		fails string
	}{
		{name: "nothing is set", want: settings{protocol: HTTP}},
		{name: "an endpoint is set", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"}, want: settings{on: true, protocol: HTTP}},
		{name: "an endpoint for traces alone", env: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/x"},
			want: settings{on: true, protocol: HTTP}},
		{name: "the callback otel", asked: true, want: settings{on: true, protocol: HTTP, headers: map[string]string{}}},
		{name: "gRPC", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"},
			want: settings{on: true, protocol: GRPC}},
		{name: "the SDK is disabled", asked: true, env: []string{"OTEL_SDK_DISABLED", "true"}},
		{name: "no exporter", env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_TRACES_EXPORTER", "none"}},
		{name: "LiteLLM's variables", asked: true, env: []string{"OTEL_EXPORTER", "otlp_http", "OTEL_ENDPOINT", "c:4318", "OTEL_HEADERS",
			"a=b, c=d"},
			want: settings{on: true, protocol: HTTP, endpoint: "http://c:4318/v1/traces", headers: map[string]string{"a": "b", "c": "d"}}},
		{name: "a protocol that is not there", asked: true, env: []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
			fails: "http/protobuf and grpc"},
		{name: "another exporter", asked: true, env: []string{"OTEL_TRACES_EXPORTER", "zipkin"}, fails: "otlp and none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			values := map[string]string{}
			for i := 0; i < len(tc.env); i += 2 {
				values[tc.env[i]] = tc.env[i+1]
			}
			got, err := readEnvironment(func(name string) string { return values[name] }, tc.asked)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(settings{})); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

func TestACollectorThatIsAwayCostsSpansAndALineAMinute(t *testing.T) {
	var log asynctest.Text // which a batch that is still sent may write to
	// A port that nobody listens at.
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tracer := open(t, Config{
		Log: slog.New(slog.NewTextHandler(&log, nil)), Getenv: environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL, "OTEL_BSP_MAX_QUEUE_SIZE",
			"16", "OTEL_BSP_SCHEDULE_DELAY", "1"),
	})
	began := time.Now()
	for range 10_000 {
		r := tracer.Begin(Parent{}, began)
		r.Attempt(1, began)
		r.End(&Summary{Operation: "chat", Began: began, Attempts: []Attempt{{Began: began}}})
	}
	if took := time.Since(began); testring.JudgesTimes() && took > 5*time.Second {
		t.Errorf("10000 requests waited %s for the collector", took)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_ = tracer.Close(ctx) // gives up with ctx
	if n := strings.Count(log.String(), "spans are lost"); n > 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

func TestWithoutATracerNothingHappens(t *testing.T) {
	var none *Tracer
	r := none.Begin(Parent{Traceparent: clientParent}, time.Now())
	if got := r.Attempt(1, time.Now()); got != "" {
		t.Errorf("the provider is told %q", got)
	}
	r.End(&Summary{})
	if err := none.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// BenchmarkRequest is what a request with one attempt costs, exporting left out.
func BenchmarkRequest(b *testing.B) {
	c := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer c.Close()
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	tracer, err := Open(b.Context(), Config{Getenv: func(string) string { return "" }, Asked: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r := tracer.Begin(Parent{Traceparent: clientParent}, now)
		r.Attempt(1, now)
		r.End(&Summary{Operation: "chat", Asked: "m", Status: 200, Began: now, Usage: &Usage{Input: 1},
			Attempts: []Attempt{{Deployment: "d", Began: now}}})
	}
}
