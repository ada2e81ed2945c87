package trace

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Parent is the span that a request's span joins, in the W3C's words. The zero
// value is none.
type Parent struct{ Traceparent, Tracestate string }

// Request is the span of one request and those of its attempts. It is safe for
// concurrent use. A nil Request does nothing.
type Request struct {
	tracer *Tracer
	ctx    context.Context // holds span
	span   trace.Span

	mu       sync.Mutex
	attempts []trace.Span // attempt n is attempts[n-1]; nil: it was not begun
	ended    bool
}

// Begin begins the span of a request. Its End must be called.
func (t *Tracer) Begin(p Parent, at time.Time) *Request {
	if t == nil {
		return nil
	}
	ctx := context.Background()
	if p.Traceparent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": p.Traceparent, "tracestate": p.Tracestate})
	}
	r := &Request{tracer: t}
	r.ctx, r.span = t.tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at))
	return r
}

// Attempt begins the span of attempt n (1-based), if it has not begun, and
// returns the traceparent that names it, for the provider.
func (r *Request) Attempt(n int, at time.Time) string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), r.attemptLocked(n, at)), carrier)
	return carrier["traceparent"]
}

func (r *Request) attemptLocked(n int, at time.Time) trace.Span {
	for len(r.attempts) < n {
		r.attempts = append(r.attempts, nil)
	}
	if r.attempts[n-1] == nil {
		_, r.attempts[n-1] = r.tracer.tracer.Start(r.ctx, "attempt", trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(at))
	}
	return r.attempts[n-1]
}

// End fills in what the request came to and ends all its spans. Only the first
// call does anything.
func (r *Request) End(s *Summary) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.ended = true
	if !r.span.IsRecording() {
		return
	}
	fallback := 0
	for i := range s.Attempts {
		a := &s.Attempts[i]
		if a.Fallback > fallback {
			fallback = a.Fallback
			r.event("isthmus.fallback", a.Began, attribute.String("isthmus.model_group", clip(a.Group)))
		}
		span := r.attemptLocked(i+1, a.Began)
		a.fill(span)
		span.End(trace.WithTimestamp(a.Began.Add(a.Took)))
		if a.Cooled {
			r.event("isthmus.cooldown", a.Began.Add(a.Took), attribute.String("isthmus.deployment", clip(a.Deployment)))
		}
	}
	if s.Cache == "hit" {
		r.event("isthmus.cache.hit", s.Began.Add(s.FirstByte))
	}
	s.fill(r.span)
	r.span.End(trace.WithTimestamp(s.Began.Add(s.Took)))
}

func (r *Request) event(name string, at time.Time, attributes ...attribute.KeyValue) {
	r.span.AddEvent(name, trace.WithTimestamp(at), trace.WithAttributes(attributes...))
}
