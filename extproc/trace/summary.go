package trace

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Summary is what a request came to.
type Summary struct {
	ID, Path  string // of the request; the path without its query
	Operation string // in the words of the GenAI conventions; "" when it calls no model
	Asked     string // the model, in the client's words

	Group, Deployment string // who answered; "": none did
	System            string // its provider, in the conventions' words
	ResponseID        string
	ResponseModel     string
	FinishReason      string

	Began      time.Time
	Took       time.Duration
	FirstByte  time.Duration
	FirstToken time.Duration // of a stream; 0: none
	Queued     time.Duration // waited for a slot
	QueuedFor  string        // of these limits; "": not known

	Stream    bool
	Status    int    // what the client got
	ErrorType string // the conventions' error.type: low in cardinality; "" for a good answer
	Cache     string // hit, miss or bypass; "": there is no cache
	Cost      float64

	Usage    *Usage // nil: not known
	Attempts []Attempt
}

// Usage is tokens.
type Usage struct {
	Input, Output, CacheRead, CacheWrite, Reasoning int64
	Estimated                                       bool
}

// Attempt is one attempt.
type Attempt struct {
	Group, Deployment, System string
	Model                     string // asked of the provider
	Host                      string
	Port                      int

	Began    time.Time
	Took     time.Duration
	Status   int    // 0: no answer came
	Error    string // error.type; "" for a good answer
	Fallback int    // groups given up before
	Cooled   bool   // its deployment rests after it
}

// attributes are collected; what is empty is left out.
type attributes []attribute.KeyValue

// maxText bounds a text of a span, in bytes.
const maxText = 1024

// clip is a text as a span may hold it: the SDK mends none, and one that is not UTF-8
// loses the whole batch.
func clip(text string) string { return upstream.Clip(text, maxText) }

func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, attribute.String(key, clip(value)))
	}
}

func (a *attributes) number(key string, value int64) {
	if value != 0 {
		*a = append(*a, attribute.Int64(key, value))
	}
}

func (a *attributes) seconds(key string, d time.Duration) {
	if d > 0 {
		*a = append(*a, attribute.Float64(key, d.Seconds()))
	}
}

func (s *Summary) fill(span trace.Span) {
	span.SetName(clip(spanName(s.Operation, s.Asked, s.Path)))
	a := make(attributes, 0, 32)
	a.text("gen_ai.operation.name", s.Operation)
	a.text("gen_ai.provider.name", s.System)
	a.text("gen_ai.request.model", s.Asked)
	a.text("gen_ai.response.id", s.ResponseID)
	a.text("gen_ai.response.model", s.ResponseModel)
	if s.FinishReason != "" {
		a = append(a, attribute.StringSlice("gen_ai.response.finish_reasons", []string{clip(s.FinishReason)}))
	}
	if u := s.Usage; u != nil {
		a = append(a, attribute.Int64("gen_ai.usage.input_tokens", u.Input), attribute.Int64("gen_ai.usage.output_tokens", u.Output))
		a.number("gen_ai.usage.cache_read.input_tokens", u.CacheRead)
		a.number("gen_ai.usage.cache_creation.input_tokens", u.CacheWrite)
		a.number("gen_ai.usage.reasoning.output_tokens", u.Reasoning)
		if u.Estimated {
			a = append(a, attribute.Bool("isthmus.usage.estimated", true))
		}
	}
	a.text("url.path", s.Path)
	a.number("http.response.status_code", int64(s.Status))
	a.text("error.type", s.ErrorType)
	a.text("isthmus.request.id", s.ID)
	a.text("isthmus.deployment", s.Deployment)
	a.text("isthmus.model_group", s.Group)
	a.text("isthmus.cache", s.Cache)
	a = append(a, attribute.Bool("isthmus.stream", s.Stream), attribute.Int("isthmus.attempts", len(s.Attempts)))
	a.seconds("isthmus.time_to_first_token", s.FirstToken)
	a.seconds("isthmus.queue_wait", s.Queued)
	a.text("isthmus.queued_for", s.QueuedFor)
	if s.Cost > 0 {
		a = append(a, attribute.Float64("isthmus.cost", s.Cost))
	}
	span.SetAttributes(a...)
	if s.ErrorType != "" && (s.Status == 0 || s.Status >= 500 || s.Status < 400) { // 4xx are the client's: no error of a server's span
		span.SetStatus(codes.Error, clip(s.ErrorType))
	}
}

func (t *Attempt) fill(span trace.Span) {
	span.SetName(clip("attempt " + t.Deployment))
	a := make(attributes, 0, 12)
	a.text("gen_ai.provider.name", t.System)
	a.text("gen_ai.request.model", t.Model)
	a.text("server.address", t.Host)
	a.number("server.port", int64(t.Port))
	a.number("http.response.status_code", int64(t.Status))
	a.text("error.type", t.Error)
	a.text("isthmus.deployment", t.Deployment)
	a.text("isthmus.model_group", t.Group)
	a.number("isthmus.fallback", int64(t.Fallback))
	span.SetAttributes(a...)
	if t.Error != "" {
		span.SetStatus(codes.Error, clip(t.Error))
	}
}

// spanName is as the GenAI conventions have it.
func spanName(operation, model, path string) string {
	switch {
	case operation == "":
		return path
	case model == "":
		return operation
	}
	return operation + " " + model
}
