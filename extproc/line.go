package extproc

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// publish tells of a request that has ended: in the metrics, on the status page, in its
// span (nil: none) and in the log.
func (rt *Runtime) publish(rec *record, span *trace.Request) {
	if rec.probe {
		return
	}
	rt.metrics.Request(rec.metricsRequest())
	if rec.keyless {
		rt.strangers.tell(rec, rt.log.Handler())
		return
	}
	rt.recent.Add(rec.statusRequest())
	if span != nil {
		span.End(rec.traceSummary())
	}
	if rec.queued > 0 {
		rt.metrics.Queued(rec.asked, rec.afterQueue(), rec.kindQueuedFor(), rec.queued)
	}
	rec.write(rt.log.Handler())
}

// strangers are the requests that were refused without a valid key. Anybody can send
// them, as many as he likes: they leave no span and nothing on the status page, and
// most leave no line. All are counted. The zero value is usable; it is safe for
// concurrent use.
type strangers struct {
	mu     sync.Mutex
	next   time.Time // when the next line may be written
	silent int       // requests without a line since the last one
}

// strangerPause is how long the log is spared after a stranger's line.
const strangerPause = 10 * time.Second

// tell writes the request's line, unless one was written a moment ago. With
// set_verbose each has one.
func (s *strangers) tell(rec *record, to slog.Handler) {
	now := time.Now()
	verbose := to.Enabled(context.Background(), slog.LevelDebug)
	s.mu.Lock()
	if now.Before(s.next) && !verbose {
		s.silent++
		s.mu.Unlock()
		return
	}
	silent := s.silent
	s.silent, s.next = 0, now.Add(strangerPause)
	s.mu.Unlock()
	if silent > 0 {
		to = to.WithAttrs([]slog.Attr{slog.Int("others_refused", silent)})
	}
	rec.write(to)
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

// kindQueuedFor is the kind of the first limit that the request waited for: deployment,
// model, tenant or gateway; "" when it is not known.
func (rec *record) kindQueuedFor() string {
	first, _, _ := strings.Cut(rec.lacked, ", ")
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
		attrs = append(attrs, slog.Bool("stream", true), slog.Int64("ms_first_token", rec.firstToken.Milliseconds()))
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
	if rec.lacked != "" {
		attrs = append(attrs, slog.String("queued_for", rec.lacked))
	}
	if rec.result.Estimated {
		attrs = append(attrs, slog.Bool("estimated", true))
	}
	if rec.aborted() {
		attrs = append(attrs, slog.String("aborted", string(rec.ended)))
	}
	if rec.failure != nil {
		attrs = append(attrs, slog.String("error", shortened(rec.failure.Type)), slog.String("code", shortened(rec.failure.Code)))
	}
	return attrs
}

// shortened cuts a name that a client or a provider has made long, and mends what is
// no text.
func shortened(s string) string {
	return upstream.Clip(s, maxName)
}
