package extproc

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// publish tells of a request that has ended: in the metrics, on the status page, in its
// span (nil: none) and in the log. A panic in one of them keeps none of the others from
// being told.
func (rt *Runtime) publish(rec *record, span *trace.Request) {
	if rec.probe {
		return
	}
	rt.guard.Run("the metrics of a request", func() { rt.measure(rec) })
	if rec.unauthenticated {
		rt.guard.Run("the line of a request", func() { rt.unauthenticated.write(rec, rt.log.Handler()) })
		return
	}
	rt.guard.Run("the status page", func() { rt.recent.Add(rec.statusRequest()) })
	if span != nil {
		rt.guard.Run("the span of a request", func() { span.End(rec.traceSummary()) })
	}
	rt.guard.Run("the line of a request", func() { rec.write(rt.log.Handler()) })
}

// measure counts a request that has ended.
func (rt *Runtime) measure(rec *record) {
	rt.metrics.Request(rec.metricsRequest())
	if rec.queued > 0 {
		rt.metrics.Queued(rec.asked, rec.afterQueue(), limitKind(rec.queuedFor), rec.queued)
	}
}

// unauthenticatedLog writes the lines of requests that were refused without a valid
// key. Any client can send them, as many as it likes: they leave no span and nothing on
// the status page, and one line every unauthenticatedPause. All are counted. The zero
// value is usable; it is safe for concurrent use.
type unauthenticatedLog struct {
	mu      sync.Mutex
	next    time.Time // when the next line may be written
	skipped int       // requests without a line since the last one
}

const unauthenticatedPause = 10 * time.Second

// write writes the request's line, unless one was written a moment ago. With
// set_verbose each has one.
func (l *unauthenticatedLog) write(rec *record, to slog.Handler) {
	skipped, due := l.due(time.Now(), to.Enabled(context.Background(), slog.LevelDebug))
	if !due {
		return
	}
	if skipped > 0 {
		to = to.WithAttrs([]slog.Attr{slog.Int("others_refused", skipped)})
	}
	rec.write(to)
}

// due reports whether a line may be written now, and how many had none before it.
func (l *unauthenticatedLog) due(now time.Time, always bool) (skipped int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) && !always {
		l.skipped++
		return 0, false
	}
	skipped = l.skipped
	l.skipped, l.next = 0, now.Add(unauthenticatedPause)
	return skipped, true
}

// write writes the request's line. A Logger would look up the place in the code
// that it is written from, which costs as much as the line and is never shown.
func (rec *record) write(to slog.Handler) {
	ctx := context.Background()
	if !to.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	line.AddAttrs(rec.logAttrs()...)
	_ = to.Handle(ctx, line) // as a Logger does
}

// afterQueue is how the request's wait for a slot ended.
func (rec *record) afterQueue() string {
	switch {
	case len(rec.attempts) > 0:
		return "admitted"
	case rec.status == clientGone().Status:
		return "left"
	}
	return "refused"
}

// limitKind is the kind of the first of some limits: deployment, model, tenant or gateway;
// "" when there is none.
func limitKind(limits string) string {
	first, _, _ := strings.Cut(limits, ", ")
	first, _, _ = strings.Cut(first, " ")
	kind, _, _ := strings.Cut(first, "/")
	return kind
}

// maxName is how much of a client's text a line shows, in bytes.
const maxName = 128

// logAttrs are what the request's line says: nothing of its content, and of the
// client's words only the model's name.
func (rec *record) logAttrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("id", rec.id), slog.String("endpoint", string(rec.endpoint)), slog.String("model", shortened(rec.model)),
		slog.Int("status", rec.status), slog.Int("attempts", len(rec.attempts)),
		slog.Int64("ms_first_byte", rec.firstByte.Milliseconds()), slog.Int64("ms", rec.took.Milliseconds()),
	)
	if rec.served != nil {
		attrs = append(attrs, slog.String("deployment", rec.answeredBy.Deployment), slog.String("provider", rec.answeredBy.Provider))
	}
	if last := rec.lastHop(); last != nil && last.Fallback > 0 {
		attrs = append(attrs, slog.Int("fallbacks", last.Fallback), slog.String("model_group", shortened(last.Group)))
	}
	if rec.stream {
		attrs = append(attrs, slog.Bool("stream", true), slog.Int64("ms_first_token", rec.timeToFirstToken().Milliseconds()))
	}
	if rec.cache != "" {
		attrs = append(attrs, slog.String("cache", string(rec.cache)))
	}
	if caller := rec.namedCaller(); caller != "" {
		attrs = append(attrs, slog.String("caller", shortened(caller)))
	}
	if u := &rec.result.Usage; rec.result.HasUsage {
		attrs = append(attrs, slog.Int64("prompt_tokens", u.Prompt), slog.Int64("completion_tokens", u.Completion))
	}
	if len(rec.attempts) > 1 {
		attrs = append(attrs, slog.String("attempt_details", details(rec.attempts)))
	}
	if rec.queued > 0 {
		attrs = append(attrs, slog.Int64("ms_queued", rec.queued.Milliseconds()))
	}
	if rec.queuedFor != "" {
		attrs = append(attrs, slog.String("queued_for", rec.queuedFor))
	}
	if rec.limitedBy != "" {
		attrs = append(attrs, slog.String("limited_by", rec.limitedBy))
	}
	if rec.result.Estimated {
		attrs = append(attrs, slog.Bool("estimated", true))
	}
	if rec.aborted() {
		attrs = append(attrs, slog.String("aborted", string(rec.ended)))
	}
	if e := rec.reportedError(); e != nil {
		attrs = append(attrs, slog.String("error", shortened(e.Type)), slog.String("code", shortened(e.Code)))
	}
	return attrs
}

// shortened cuts a name that a client or a provider has made long, and mends what is
// no text.
func shortened(s string) string {
	return upstream.Clip(s, maxName)
}

// stepLog collects the lines of one request that set_verbose asks for: each step is a
// line of its own, written before the request ends, so that one sees where a request
// stands. Steps are added while messages are handled and written by flush, when the
// message is answered that they belong to. A nil stepLog does nothing. It is safe for
// concurrent use.
type stepLog struct {
	id  string // of the exchange
	log *slog.Logger

	mu    sync.Mutex
	steps []step // not written yet
}

// step is a line to be written.
type step struct {
	message string
	attrs   []slog.Attr
}

func (l *stepLog) add(message string, attrs ...slog.Attr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps = append(l.steps, step{message, append([]slog.Attr{slog.String("id", l.id)}, attrs...)})
}

// flush writes the steps added so far.
func (l *stepLog) flush() {
	if l == nil {
		return
	}
	for _, s := range l.drain() {
		l.log.LogAttrs(context.Background(), slog.LevelDebug, s.message, s.attrs...)
	}
}

func (l *stepLog) drain() []step {
	l.mu.Lock()
	defer l.mu.Unlock()
	steps := l.steps
	l.steps = nil
	return steps
}

// planned adds the attempts that are planned for a model, in the client's words.
func (l *stepLog) planned(model string, p *routing.Plan) {
	if l == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("model", shortened(model)), slog.Any("deployments", deploymentsAfter(p, 0)), slog.Int("attempts_at_most", p.Attempts),
		slog.Int64("ms_attempt_timeout", p.Timeout.Milliseconds()),
	}
	if !p.Deadline.IsZero() {
		attrs = append(attrs, slog.Int64("ms_left", time.Until(p.Deadline).Milliseconds()))
	}
	l.add("plan", attrs...)
}

// cacheAnswered adds what the cache said, and how long that took.
func (l *stepLog) cacheAnswered(result cache.Status, took time.Duration) {
	if l != nil {
		l.add("cache", slog.String("result", string(result)), slog.Int64("ms", took.Milliseconds()))
	}
}

// queued writes at once that the request begins to wait for a slot of one of these
// limits; nil: of which is not known yet.
func (l *stepLog) queued(lacks []string) {
	if l != nil {
		l.add("queued", slog.String("queued_for", strings.Join(lacks, ", ")))
		l.flush()
	}
}

// attemptBegins adds the begin of attempt n.
func (l *stepLog) attemptBegins(n int, h *routing.Hop) {
	if l != nil {
		l.add("attempt begins", slog.Int("number", n), slog.String("deployment", h.Deployment.ID),
			slog.String("model_group", shortened(h.Group)), slog.String("provider", h.Deployment.Provider),
			slog.String("upstream_model", shortened(h.Model)), slog.Int("fallback", h.Fallback))
	}
}

// attemptEnded adds how attempt n ended.
func (l *stepLog) attemptEnded(n int, h *routing.Hop, a *attempt) {
	if l != nil {
		l.add("attempt", slog.Int("number", n), slog.String("deployment", h.Deployment.ID), slog.Int("status", a.status),
			slog.Int64("ms", a.took.Milliseconds()), slog.String("reason", shortened(a.reason)))
	}
}

// cooldown adds that a deployment is in cooldown.
func (l *stepLog) cooldown(d *routing.Deployment, s routing.State) {
	if l != nil {
		l.add("cooldown", slog.String("deployment", d.ID), slog.Time("until", s.Until), slog.String("cause", shortened(s.Cause)))
	}
}

// next adds what routing made of the failure of attempt n.
func (l *stepLog) next(n int, next routing.Next, p *routing.Plan) {
	if l == nil {
		return
	}
	if !next.Retry {
		l.add("no further attempt", slog.Int("after", n))
		return
	}
	l.add("another attempt", slog.Int("after", n), slog.Int64("ms_pause", next.Pause.Milliseconds()),
		slog.Any("deployments", deploymentsAfter(p, n)))
}

// deploymentsAfter are the ids of the deployments of the attempts after the n-th.
func deploymentsAfter(p *routing.Plan, n int) []string {
	var out []string
	for _, h := range p.Hops[min(n, len(p.Hops)):] {
		out = append(out, h.Deployment.ID)
	}
	return out
}
