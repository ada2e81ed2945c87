package mlflow

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/otlp"
)

// span makes the one span of a request's trace. The attributes' names are those
// of MLflow's SpanAttributeKey and of LiteLLM's own logger.
func span(r *callback.Record) *tracepb.Span {
	s := &tracepb.Span{
		TraceId: otlp.TraceID(r.CallID), SpanId: otlp.SpanID(r.CallID), Name: "litellm-" + r.CallType, Kind: tracepb.Span_SPAN_KIND_CLIENT,
		StartTimeUnixNano: otlp.Nanos(r.StartTime.Time), EndTimeUnixNano: otlp.Nanos(r.EndTime.Time),
		Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK},
	}
	var a otlp.Attributes
	a.Text("mlflow.spanType", spanType(r))
	a.Text("mlflow.spanInputs", string(inputs(r)))
	a.Text("mlflow.spanOutputs", string(r.Response))
	a.Text("mlflow.llm.model", r.HiddenParams.ModelName)
	a.Text("mlflow.llm.provider", string(r.Provider))
	if r.CallType == "acompletion" {
		a.Text("mlflow.message.format", "openai")
	}
	measures(&a, r)
	details(&a, r)
	tags(&a, r)
	s.Attributes = a
	if r.Status == callback.Failure {
		fail(s, r)
	}
	if !r.CompletionStartTime.IsZero() && r.Stream {
		s.Events = append(s.Events, &tracepb.Span_Event{Name: "first_token", TimeUnixNano: otlp.Nanos(r.CompletionStartTime.Time)})
	}
	return s
}

func spanType(r *callback.Record) string {
	switch r.CallType {
	case "acompletion", "aresponses":
		return "CHAT_MODEL"
	case "aembedding":
		return "EMBEDDING"
	case "arerank":
		return "RERANKER"
	}
	return "LLM"
}

// inputs is the request again: its messages beside its parameters.
func inputs(r *callback.Record) jsontext.Value {
	if r.Messages == nil {
		return nil
	}
	name := "messages"
	if r.CallType != "acompletion" {
		name = "input"
	}
	out := append([]byte(`{"`+name+`":`), r.Messages...)
	if rest := bytes.TrimSpace(r.ModelParameters); len(rest) > len("{}") && rest[0] == '{' {
		return append(append(out, ','), rest[1:]...)
	}
	return append(out, '}')
}

type tokenUsage struct {
	Input         int64 `json:"input_tokens"`
	Output        int64 `json:"output_tokens"`
	Total         int64 `json:"total_tokens"`
	CacheRead     int64 `json:"cache_read_input_tokens,omitzero"`
	CacheCreation int64 `json:"cache_creation_input_tokens,omitzero"`
}

func measures(a *otlp.Attributes, r *callback.Record) {
	if u := r.Metadata.Usage; u != nil {
		a.Text("mlflow.chat.tokenUsage", encode(tokenUsage{u.Prompt, u.Completion, u.Total, u.Prompts.Cached, u.Prompts.CacheWrite}))
	}
	c := r.CostBreakdown
	if r.CacheHit {
		c = &callback.CostBreakdown{} // else MLflow reckons what the tokens would have cost
	}
	if c != nil {
		a.Text("mlflow.llm.cost", encode(c))
		a.Float("response_cost", r.ResponseCost)
	}
}

func details(a *otlp.Attributes, r *callback.Record) {
	a.Text("litellm_call_id", r.CallID)
	a.Text("call_type", r.CallType)
	a.Text("model", r.Model)
	a.Text("model_group", r.ModelGroup)
	a.Text("model_id", r.ModelID)
	a.Text("api_base", r.APIBase)
	a.Bool("cache_hit", r.CacheHit)
	a.Bool("stream", r.Stream)
	a.Int("http_status", int64(r.HTTPStatus))
	a.Text("aborted", string(r.Aborted))
	a.Text("session.id", r.SessionID)
	a.Text("user.id", string(r.EndUser))
	a.Texts("request_tags", r.RequestTags)
	a.Text("metadata", string(r.Metadata.Requester))
	if len(r.Attempts) > 0 {
		a.Text("attempts", encode(r.Attempts))
	}
}

// tags makes trace tags: of a request tag "k:v" the tag k, of another itself.
func tags(a *otlp.Attributes, r *callback.Record) {
	const prefix = "mlflow.traceTag."
	for _, tag := range r.RequestTags {
		name, value, ok := strings.Cut(tag, ":")
		name = strings.TrimSpace(name)
		if !ok {
			value = "true"
		}
		if name != "" && !strings.HasPrefix(name, "mlflow.") {
			a.Text(prefix+name, strings.TrimSpace(value))
		}
	}
	a.Text(prefix+"model_group", r.ModelGroup)
	a.Text(prefix+"litellm_call_id", r.CallID)
}

// fail adds the error as MLflow shows exceptions.
func fail(s *tracepb.Span, r *callback.Record) {
	s.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: otlp.Clean(string(r.ErrorStr))}
	var a otlp.Attributes
	a.Text("exception.message", string(r.ErrorStr))
	if e := r.ErrorInformation; e != nil {
		a.Text("exception.type", e.Class)
		a.Text("error_code", e.Code)
	}
	s.Events = append(s.Events, &tracepb.Span_Event{Name: "exception", TimeUnixNano: s.EndTimeUnixNano, Attributes: a})
}

func encode(v any) string {
	out, err := callback.Encode(v)
	if err != nil {
		return ""
	}
	return string(out)
}
