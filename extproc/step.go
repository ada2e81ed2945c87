package extproc

import (
	"context"
	"log/slog"
	"time"

	"github.com/isthmus-proxy/isthmus/routing"
)

// With set_verbose, each step of a request is a line of its own, written when it
// is made: so one sees where a request stands that has not ended. Steps are noted
// under the exchange's lock and written without it, when the message is answered
// that they belong to.

// step is a line to be written.
type step struct {
	what  string
	attrs []slog.Attr
}

// verbose reports whether steps are written. It is asked before a step is made,
// which costs memory.
func (x *exchange) verbose() bool { return x.snapshot.runtime.steps }

// stepLocked notes a step; tell writes it.
func (x *exchange) stepLocked(what string, attrs ...slog.Attr) {
	x.steps = append(x.steps, step{what, append([]slog.Attr{slog.String("id", x.id)}, attrs...)})
}

// step notes a step.
func (x *exchange) step(what string, attrs ...slog.Attr) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stepLocked(what, attrs...)
}

// tell writes the steps noted so far. It is called without the lock.
func (x *exchange) tell() {
	if !x.verbose() {
		return
	}
	x.mu.Lock()
	steps := x.steps
	x.steps = nil
	x.mu.Unlock()
	for _, s := range steps {
		x.snapshot.runtime.log.LogAttrs(context.Background(), slog.LevelDebug, s.what, s.attrs...)
	}
}

// stepPlan tells what attempts are planned.
func (x *exchange) stepPlan(p *routing.Plan) {
	if !x.verbose() {
		return
	}
	attrs := []slog.Attr{
		slog.String("model", shortened(x.request.Model)), slog.Any("deployments", hopNames(p, 0)), slog.Int("attempts_at_most", p.Attempts),
		slog.Int64("ms_attempt_timeout", p.Timeout.Milliseconds()),
	}
	if !p.Deadline.IsZero() {
		attrs = append(attrs, slog.Int64("ms_left", time.Until(p.Deadline).Milliseconds()))
	}
	x.step("plan", attrs...)
}

// stepCache tells what the cache said.
func (x *exchange) stepCache(took time.Duration) {
	if x.verbose() {
		x.step("cache", slog.String("result", string(x.caching.status)), slog.Int64("ms", took.Milliseconds()))
	}
}

// stepBeginLocked tells that an attempt begins.
func (x *exchange) stepBeginLocked(n int) {
	if x.verbose() {
		h := &x.plan.Hops[n-1]
		x.stepLocked("attempt begins", slog.Int("number", n), slog.String("deployment", h.Deployment.ID), slog.String("model_group", shortened(h.Group)),
			slog.String("provider", h.Deployment.Provider), slog.String("upstream_model", shortened(h.Model)), slog.Int("fallback", h.Fallback))
	}
}

// stepEndLocked tells how an attempt ended.
func (x *exchange) stepEndLocked(n int) {
	if x.verbose() {
		a := &x.attempts[n-1]
		x.stepLocked("attempt", slog.Int("number", n), slog.String("deployment", x.plan.Hops[n-1].Deployment.ID), slog.Int("status", a.status),
			slog.Int64("ms", a.took.Milliseconds()), slog.String("reason", shortened(a.reason)))
	}
}

// coolsLocked notes, for steps and spans, whether the failure of attempt n has
// sent its deployment to rest.
func (x *exchange) coolsLocked(n int) {
	a, d := &x.attempts[n-1], x.plan.Hops[n-1].Deployment
	if !a.failed || !x.verbose() && x.span == nil {
		return
	}
	s := x.snapshot.router.State(d)
	if a.cooled = s.Health == "cooling"; a.cooled && x.verbose() {
		x.stepLocked("cooldown", slog.String("deployment", d.ID), slog.Time("until", s.Until), slog.String("cause", shortened(s.Cause)))
	}
}

// stepNextLocked tells what routing made of the failure of attempt n.
func (x *exchange) stepNextLocked(n int, next routing.Next) {
	if !x.verbose() {
		return
	}
	if !next.Retry {
		x.stepLocked("no further attempt", slog.Int("after", n))
		return
	}
	x.stepLocked("another attempt", slog.Int("after", n), slog.Int64("ms_pause", next.Pause.Milliseconds()), slog.Any("deployments", hopNames(x.plan, n)))
}

// hopNames are the deployments of the attempts after the n-th.
func hopNames(p *routing.Plan, n int) []string {
	var out []string
	for _, h := range p.Hops[min(n, len(p.Hops)):] {
		out = append(out, h.Deployment.ID)
	}
	return out
}
