package extproc

import (
	"net"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
)

// Trace makes spans of the requests that come from now on. Without it the
// client's traceparent goes to the providers as it is.
func (rt *Runtime) Trace(t *trace.Tracer) { rt.tracer = t }

// traced begins the request's span. It joins Envoy's, which an Envoy that traces
// names in the stream's metadata, else the client's.
func (s *requestStream) traced() {
	x := s.exchange
	t := x.snapshot.runtime.tracer
	if t == nil || x.path.action == liveness || x.path.action == readiness {
		return
	}
	p := trace.Parent{Traceparent: metadataValue(s.ctx, "traceparent"), Tracestate: metadataValue(s.ctx, "tracestate")}
	if p.Traceparent == "" {
		p = trace.Parent{Traceparent: s.header.Get("traceparent"), Tracestate: s.header.Get("tracestate")}
	}
	x.span = t.Begin(p, x.started)
}

// nameSpan tells the provider of the span of attempt n.
func (x *exchange) nameSpan(edit *wire.HeaderMutation, n int) {
	if parent := x.span.Attempt(n, time.Now()); parent != "" {
		edit.Set("traceparent", parent)
	}
}

// endSpan ends the request's spans with what it came to.
func (x *exchange) endSpan(rec *record, sample *metrics.Request) {
	if x.span == nil {
		return
	}
	o := &rec.outcome
	s := &trace.Summary{
		ID: x.id, Path: shortened(withoutQuery(x.header.Get(":path"))), Operation: sample.Operation, Asked: shortened(rec.model),
		Group: sample.Served.Group, Deployment: sample.Served.Deployment, System: sample.Served.System,
		ResponseID: shortened(o.result.ID), ResponseModel: shortened(o.result.Model), FinishReason: shortened(o.result.FinishReason),
		Began: rec.started, Took: rec.took, FirstByte: o.firstByte, FirstToken: sample.FirstToken, Queued: rec.queued, QueuedFor: rec.lacked,
		Stream: rec.stream, Status: o.status, ErrorType: sample.ErrorType(), Cache: string(rec.cache), Cost: sample.Cost,
	}
	if r := &o.result; r.HasUsage && o.entry == nil { // a stored answer used nothing
		u := &r.Usage
		s.Usage = &trace.Usage{
			Input: u.Prompt, Output: u.Completion, CacheRead: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning, Estimated: r.Estimated,
		}
	}
	for i := range rec.attempts {
		s.Attempts = append(s.Attempts, rec.attempts[i].traced(&sample.Attempts[i]))
	}
	x.span.End(s)
}

// traced is what an attempt's span says.
func (a *attemptRecord) traced(m *metrics.Attempt) trace.Attempt {
	t := trace.Attempt{
		Group: m.Group, Deployment: m.Deployment, System: m.System, Model: shortened(a.hop.Model), Began: a.began, Took: a.took,
		Status: m.Status, Error: m.ErrorType(), Fallback: a.hop.Fallback, Cooled: a.cooled,
	}
	t.Host, t.Port = addressOf(a.hop.Deployment)
	return t
}

// addressOf is the host and port of a deployment's provider.
func addressOf(d *routing.Deployment) (string, int) {
	host, port, err := net.SplitHostPort(d.Authority())
	if err != nil {
		if host = d.Authority(); d.Scheme() == "http" {
			return host, 80
		}
		return host, 443
	}
	n, _ := strconv.Atoi(port)
	return host, n
}
