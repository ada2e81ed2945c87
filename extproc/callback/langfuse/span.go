package langfuse

import (
	"cmp"
	"context"
	"encoding/hex"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/otlp"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// export sends entries as OTLP spans.
func (s *Sink) export(ctx context.Context, entries []*entry) error {
	spans := make([]*tracepb.Span, len(entries))
	for i, e := range entries {
		spans[i] = e.span()
	}
	var resource, scope otlp.Attributes
	resource.Text("service.name", "isthmus")
	resource.Text("service.version", s.version)
	scope.Text("public_key", s.publicKey)
	traces := otlp.Traces(resource, otlp.Scope{Name: sdkName, Version: s.version, Attributes: scope}, spans)
	return otlp.Export(ctx, s.poster, callback.Post{URL: s.url("otel/v1/traces"), Header: s.headers}, traces)
}

func (e *entry) span() *tracepb.Span {
	r := e.record
	span := &tracepb.Span{
		TraceId: unhex(e.traceID), SpanId: unhex(e.generationID), ParentSpanId: unhex(e.parent),
		Name: otlp.Clean(e.name), Kind: tracepb.Span_SPAN_KIND_CLIENT, Flags: 1,
		StartTimeUnixNano: otlp.Nanos(r.StartTime.Time), EndTimeUnixNano: otlp.Nanos(r.EndTime.Time),
		Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK},
	}
	if e.level == levelError {
		span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: otlp.Clean(e.status)}
	}
	var a otlp.Attributes
	e.traceAttributes(&a)
	e.generationAttributes(&a)
	e.metadataAttributes(&a)
	span.Attributes = a
	return span
}

// traceAttributes says what the trace is. A trace that is continued keeps what
// it has.
func (e *entry) traceAttributes(a *otlp.Attributes) {
	a.Text("session.id", e.session)
	a.Text("user.id", e.user)
	a.Texts("langfuse.trace.tags", e.record.RequestTags)
	if e.meta.ExistingTraceID != "" {
		return
	}
	a.Text("langfuse.trace.name", e.traceName)
	a.Text("langfuse.trace.input", string(e.input))
	a.Text("langfuse.trace.output", string(e.output))
	a.Text("langfuse.version", cmp.Or(string(e.meta.TraceVersion), string(e.meta.Version)))
	a.Text("langfuse.release", string(e.meta.TraceRelease))
	a.Text("langfuse.trace.metadata", string(e.meta.TraceMetadata))
}

func (e *entry) generationAttributes(a *otlp.Attributes) {
	r := e.record
	a.Text("langfuse.observation.type", "generation")
	a.Text("langfuse.observation.input", string(e.input))
	a.Text("langfuse.observation.output", string(e.output))
	a.Text("langfuse.observation.level", e.level)
	a.Text("langfuse.observation.status_message", e.status)
	a.Text("langfuse.observation.model.name", e.model())
	a.Text("langfuse.observation.model.parameters", string(e.parameters()))
	if details := usageDetails(r); details != nil {
		a.Text("langfuse.observation.usage_details", encode(details))
	}
	if c := costs(r); c != nil {
		a.Text("langfuse.observation.cost_details", encode(c))
	}
	if !r.CompletionStartTime.IsZero() {
		a.Text("langfuse.observation.completion_start_time", encode(stamp(r.CompletionStartTime.Time)))
	}
}

// metadataAttributes are the generation's metadata, one attribute each so that
// Langfuse can filter by them.
func (e *entry) metadataAttributes(a *otlp.Attributes) {
	for _, f := range e.details() {
		a.Text("langfuse.observation.metadata."+f.name, f.text)
	}
}

// model is the provider's name of the model.
func (e *entry) model() string {
	return cmp.Or(e.record.HiddenParams.ModelName, e.record.Model)
}

// parameters are what was sent beside the messages; tools are in the input.
func (e *entry) parameters() jsontext.Value {
	object, err := jsonedit.Parse(e.record.ModelParameters)
	if err != nil {
		return nil
	}
	var edits jsonedit.Edits
	edits.Delete("tools")
	edits.Delete("functions")
	return object.Apply(&edits)
}

// usage is Langfuse's usage details: input without what was read from a cache or
// written to one, for Langfuse adds them up.
type usage struct {
	Input         int64 `json:"input"`
	Output        int64 `json:"output"`
	Total         int64 `json:"total"`
	CacheCreation int64 `json:"cache_creation_input_tokens"`
	CacheRead     int64 `json:"cache_read_input_tokens"`
}

func usageDetails(r *callback.Record) *usage {
	u := r.Metadata.Usage
	if u == nil {
		return nil
	}
	return &usage{
		Input: u.Prompt - u.Prompts.Cached - u.Prompts.CacheWrite, Output: u.Completion, Total: u.Total,
		CacheCreation: u.Prompts.CacheWrite, CacheRead: u.Prompts.Cached,
	}
}

type costDetails struct {
	Input  float64 `json:"input"`
	Output float64 `json:"output"`
	Total  float64 `json:"total"`
}

// costs is the cost of a request whose price is known. A cache hit cost nothing;
// when that is not said, Langfuse reckons what its tokens would have cost.
func costs(r *callback.Record) *costDetails {
	if r.CacheHit {
		return &costDetails{}
	}
	if c := r.CostBreakdown; c != nil {
		return &costDetails{c.Input, c.Output, c.Total}
	}
	return nil
}

// stamp is a time as Langfuse writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

func encode(v any) string {
	out, err := callback.Encode(v)
	if err != nil {
		return ""
	}
	return string(out)
}

func unhex(s string) []byte {
	out, _ := hex.DecodeString(s) // made by EncodeToString
	if len(out) == 0 {
		return nil
	}
	return out
}
