package extproc

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing"
)

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
