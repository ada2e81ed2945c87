package extproc

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// done tells of an ended exchange: a line, the counters, the spans.
func (x *exchange) done(rec *record) {
	if rec.quiet {
		return
	}
	g, sample := x.snapshot, rec.sample()
	g.runtime.metrics.Request(sample)
	if rec.keyless {
		g.runtime.strangers.tell(rec, g.runtime.log.Handler())
		return
	}
	g.runtime.recent.Add(rec.shown())
	x.endSpan(rec, sample)
	if rec.queued > 0 {
		g.runtime.metrics.Queued(rec.asked, rec.afterQueue(), rec.kindQueuedFor(), rec.queued)
	}
	rec.write(g.runtime.log.Handler())
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
	line.AddAttrs(rec.attrs()...)
	_ = to.Handle(ctx, line) // as a Logger does
}

// afterQueue is how the request's wait for a slot ended.
func (rec *record) afterQueue() string {
	switch {
	case len(rec.attempts) > 0:
		return "admitted"
	case rec.outcome.status == clientGone().Status:
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

// attrs are what the request's line says: nothing of its content, and of the
// client's words only the model's name.
func (rec *record) attrs() []slog.Attr {
	o := &rec.outcome
	attrs := make([]slog.Attr, 0, 20)
	attrs = append(attrs,
		slog.String("id", rec.id), slog.String("endpoint", string(rec.endpoint)), slog.String("model", shortened(rec.model)),
		slog.Int("status", o.status), slog.Int("attempts", len(rec.attempts)),
		slog.Int64("ms_first_byte", o.firstByte.Milliseconds()), slog.Int64("ms", rec.took.Milliseconds()),
	)
	if o.served != nil {
		attrs = append(attrs, slog.String("deployment", o.served.Deployment.ID), slog.String("provider", o.served.Deployment.Provider))
	}
	if n := len(rec.attempts); n > 0 && rec.attempts[n-1].hop.Fallback > 0 {
		last := &rec.attempts[n-1].hop
		attrs = append(attrs, slog.Int("fallbacks", last.Fallback), slog.String("model_group", shortened(last.Group)))
	}
	if rec.stream {
		attrs = append(attrs, slog.Bool("stream", true), slog.Int64("ms_first_token", o.firstToken.Milliseconds()))
	}
	if rec.cache != "" {
		attrs = append(attrs, slog.String("cache", string(rec.cache)))
	}
	if rec.caller != "" && rec.caller != sharedCaller && rec.caller != unnamedCaller {
		attrs = append(attrs, slog.String("caller", shortened(rec.caller)))
	}
	if o.result.HasUsage {
		attrs = append(attrs, slog.Int64("prompt_tokens", o.result.Usage.Prompt), slog.Int64("completion_tokens", o.result.Usage.Completion))
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
	if o.result.Estimated {
		attrs = append(attrs, slog.Bool("estimated", true))
	}
	if o.ended != endedWhole {
		attrs = append(attrs, slog.String("aborted", string(o.ended)))
	}
	if o.failure != nil {
		attrs = append(attrs, slog.String("error", shortened(o.failure.Type)), slog.String("code", shortened(o.failure.Code)))
	}
	return attrs
}

// shortened cuts a name that a client or a provider has made long, and mends what is
// no text.
func shortened(s string) string {
	return upstream.Clip(s, maxName)
}
