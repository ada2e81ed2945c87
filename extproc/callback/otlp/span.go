package otlp

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Attributes is a list of span attributes that leaves out what is empty.
type Attributes []*commonpb.KeyValue

// Clean mends text that is no UTF-8: one such text, and a receiver refuses the
// whole batch. Its length is bounded elsewhere.
func Clean(text string) string { return upstream.Clip(text, len(text)) }

// Text adds a string, unless it is empty.
func (a *Attributes) Text(key, value string) {
	if value != "" {
		a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: Clean(value)}})
	}
}

// Int adds a number.
func (a *Attributes) Int(key string, value int64) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: value}})
}

// Float adds a number.
func (a *Attributes) Float(key string, value float64) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: value}})
}

// Bool adds a truth value.
func (a *Attributes) Bool(key string, value bool) {
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: value}})
}

// Texts adds a list of strings, unless it is empty.
func (a *Attributes) Texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	list := &commonpb.ArrayValue{}
	for _, v := range values {
		list.Values = append(list.Values, &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: Clean(v)}})
	}
	a.add(key, &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}})
}

func (a *Attributes) add(key string, value *commonpb.AnyValue) {
	*a = append(*a, &commonpb.KeyValue{Key: Clean(key), Value: value})
}

// Nanos is a time as OTLP writes it.
func Nanos(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) }

// TraceID is the 16 bytes of a trace id: those of a W3C id (32 hex digits, with
// or without dashes), else a hash of the text, as Langfuse's SDKs make them.
func TraceID(text string) []byte {
	plain := make([]byte, 0, 32)
	for i := range len(text) {
		if text[i] != '-' {
			plain = append(plain, text[i])
		}
	}
	if id, err := hex.DecodeString(string(plain)); err == nil && len(id) == 16 && !zero(id) {
		return id
	}
	return hash(text, 16)
}

// SpanID is the 8 bytes of a span id: those of 16 hex digits, else a hash.
func SpanID(text string) []byte {
	if id, err := hex.DecodeString(text); err == nil && len(id) == 8 && !zero(id) {
		return id
	}
	return hash(text, 8)
}

func hash(text string, n int) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:n]
}

func zero(id []byte) bool {
	for _, b := range id {
		if b != 0 {
			return false
		}
	}
	return true
}

// Scope says who made the spans.
type Scope struct {
	Name, Version string
	Attributes    Attributes
}

// Traces puts spans into the message that is sent. It is the same on the wire as
// ExportTraceServiceRequest, whose package would bring a whole REST gateway.
func Traces(resource Attributes, scope Scope, spans []*tracepb.Span) *tracepb.TracesData {
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource: &resourcepb.Resource{Attributes: resource},
		ScopeSpans: []*tracepb.ScopeSpans{{
			Scope: &commonpb.InstrumentationScope{Name: scope.Name, Version: scope.Version, Attributes: scope.Attributes},
			Spans: spans,
		}},
	}}}
}
