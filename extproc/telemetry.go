package extproc

import (
	"net"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// metricsRequest is the record as the metrics count it.
func (rec *record) metricsRequest() *metrics.Request {
	m := &metrics.Request{
		Endpoint: string(rec.endpoint), Operation: rec.operation, Asked: rec.asked, Cache: string(rec.cache),
		Status: rec.status, Aborted: rec.aborted(), Failed: rec.failed(), Stream: rec.stream,
		Duration: rec.took, FirstToken: rec.timeToFirstToken(), Own: rec.overhead, Cost: rec.cost, Fallbacks: rec.fallbacks,
	}
	if rec.failure != nil {
		m.Kind = upstream.KindOf(rec.failure)
	}
	if len(rec.attempts) == 0 || rec.limitedBy != "" {
		m.Code, m.Limit = rec.errorCode(), limitKind(rec.limitedBy)
	}
	if rec.served != nil {
		m.Served = configured(rec.served.Deployment)
		u := &rec.result.Usage
		m.Tokens = metrics.Tokens{
			Prompt: u.Prompt, Completion: u.Completion, Cached: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning,
			Estimated: rec.result.Estimated,
		}
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		each := metrics.Attempt{Served: configured(a.hop.Deployment), Outcome: a.end, Kind: a.kind, Status: a.code, Took: a.took}
		if i == len(rec.attempts)-1 && m.FirstToken > 0 {
			each.FirstToken = m.FirstToken - a.began.Sub(rec.started)
		}
		m.Attempts = append(m.Attempts, each)
	}
	return m
}

// configured names a deployment by the configuration's words alone: a wildcard's
// group and model are as the configuration spells them, not as the client did.
func configured(d *routing.Deployment) metrics.Served {
	return metrics.Served{Group: d.Group, Deployment: d.ID, Provider: d.Provider, System: translate.System(d.Provider), Model: d.Model}
}

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

// traceSummary is the record as the spans of the request say it.
func (rec *record) traceSummary() *trace.Summary {
	s := &trace.Summary{
		ID: rec.id, Path: shortened(withoutQuery(rec.header.Get(":path"))), Operation: rec.operation, Asked: shortened(rec.model),
		ResponseID: shortened(rec.result.ID), ResponseModel: shortened(rec.result.Model), FinishReason: shortened(rec.result.FinishReason),
		Began: rec.started, Took: rec.took, FirstByte: rec.firstByte, FirstToken: rec.timeToFirstToken(), Queued: rec.queued,
		QueuedFor: rec.queuedFor,
		Stream:    rec.stream, Status: rec.status, ErrorType: rec.errorType(), Cache: string(rec.cache), Cost: rec.cost,
	}
	if rec.served != nil {
		d := rec.served.Deployment
		s.Group, s.Deployment, s.System = d.Group, d.ID, translate.System(d.Provider)
	}
	if r := &rec.result; r.HasUsage && rec.entry == nil { // a stored answer used nothing
		u := &r.Usage
		s.Usage = &trace.Usage{
			Input: u.Prompt, Output: u.Completion, CacheRead: u.Cached, CacheWrite: u.CacheWrite, Reasoning: u.Reasoning, Estimated: r.Estimated,
		}
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		d := a.hop.Deployment
		t := trace.Attempt{
			Group: d.Group, Deployment: d.ID, System: translate.System(d.Provider), Model: shortened(a.hop.Model), Began: a.began, Took: a.took,
			Status: a.code, Error: a.end.ErrorType(a.code), Fallback: a.hop.Fallback, Cooled: a.cooled,
		}
		t.Host, t.Port = addressOf(d)
		s.Attempts = append(s.Attempts, t)
	}
	return s
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
