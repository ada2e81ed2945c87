package extproc

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// exchange is one client request and everything it holds. Stream 1 owns it: it is made
// when the request's headers come and finished when that stream closes. The streams of
// the retry and failure filters find it by its id: what they change (attempts,
// reservation, prepared), and what the deadline does (outcome), has locks of its own.
type exchange struct {
	id              string // ours, never the client's x-request-id
	started         time.Time
	snapshot        *Snapshot // the configuration the request began under
	path            apiPath
	probe           bool // a health check or a preflight
	unauthenticated bool // refused, and without a valid key

	request  *chat.Request // nil until the body was read
	caller   string        // who asks, as far as it is known; ""
	tags     []string
	header   upstream.Header // the client's; never printed
	caching  caching
	capture  capture
	hooks    hooks
	span     *trace.Request // nil: no tracing
	steps    *stepLog       // nil: steps are not logged
	overhead atomic.Int64   // nanoseconds of work of this service for it, waits excluded

	attempts    attempts
	outcome     lockedOutcome
	reservation reservation
	prepared    preparedCall
	held        bool // the opening filter holds the answers of its attempts

	queued    time.Duration // waited for a slot
	queuedFor string        // the limits it waited for last: limit.Refused.Lacks, joined by ", "
	took      time.Duration // to the end; set by finish
}

// newExchange returns the exchange of a request to path under g, which the caller has
// acquired; settle releases it.
func newExchange(g *Snapshot, path apiPath, now time.Time) *exchange {
	x := &exchange{id: rand.Text(), started: now, snapshot: g, path: path}
	x.attempts.router, x.attempts.observer = g.router, x
	x.hooks.id, x.hooks.snapshot = x.id, g
	if g.runtime.steps {
		x.steps = &stepLog{id: x.id, log: g.runtime.log}
	}
	return x
}

// attemptBegan tells the log.
func (x *exchange) attemptBegan(n int, hop *routing.Hop) { x.steps.attemptBegins(n, hop) }

// attemptJudged tells the log.
func (x *exchange) attemptJudged(n int, next routing.Next, p *routing.Plan) { x.steps.next(n, next, p) }

// attemptEnded tells the callbacks and the log. Whether the failure has sent the
// deployment into cooldown is asked for the log and the spans alone.
func (x *exchange) attemptEnded(n int, hop *routing.Hop, a *attempt) {
	x.hooks.attemptEnded(n, hop, a)
	x.steps.attemptEnded(n, hop, a)
	if !a.failed || x.steps == nil && x.span == nil {
		return
	}
	s := x.snapshot.router.State(hop.Deployment)
	if a.cooled = s.Health == "cooling"; a.cooled {
		x.steps.cooldown(hop.Deployment, s)
	}
}

// answered notes that the headers of attempt n's answer are good and go to the client.
// It reports whether they may: whether nothing else has answered.
func (x *exchange) answered(n, status int, hop routing.Hop) bool {
	now := time.Now()
	if !x.outcome.deployed(&hop, status, now.Sub(x.started)) {
		return false
	}
	x.attempts.answered(n, status, now)
	return true
}

// finish gives back everything the exchange holds. It is the one place where a
// request ends; only the first call does anything. settle, which follows
// it, records the outcome.
func (x *exchange) finish(now time.Time) {
	guard := x.snapshot.runtime.guard
	x.outcome.disconnect()
	last := x.outcome.load()
	if !x.attempts.close(last.attempt(), now, guard) {
		return
	}
	x.took = now.Sub(x.started)
	guard.Run("the limits", x.reservation.release)
	guard.Run("the log", x.steps.flush)
	guard.Run("the memory of a request", func() {
		if x.request != nil && len(x.request.Body.Source()) >= hugeBody {
			x.snapshot.runtime.freeMemory()
		}
	})
}

// settle is the second step of a request's end, after finish: it corrects the limits and
// publishes the record, once. Who ended an answer, and the usage of one that Envoy relayed,
// may be known only a moment after stream 1 has closed: entry is that of Envoy's access
// log, or nil when there is none.
func (x *exchange) settle(entry *logEntry) {
	guard := x.snapshot.runtime.guard
	var rec record
	whole := guard.Run("the record of a request", func() { rec = x.record(x.decided(entry)) })
	guard.Run("the limits", func() { x.reservation.close(&rec.outcome, &x.attempts) })
	if whole {
		guard.Run("the callbacks", func() { x.snapshot.sendRecord(&rec) })
		x.snapshot.runtime.publish(&rec, x.span)
	}
	x.snapshot.release()
}

// decided is the outcome of the finished exchange, completed by Envoy's access log entry
// (nil: there is none). It reports to routing what that changes.
func (x *exchange) decided(entry *logEntry) outcome {
	o := x.outcome.load()
	if o.ended != notEnded {
		return o
	}
	o.end(entry)
	x.usageFromLog(&o, entry)
	if o.served == nil {
		return o
	}
	if o.relayed {
		x.firstTokenFromLog(&o, entry)
		x.snapshot.router.Used(o.served, o.result.Usage.Prompt+o.result.Usage.Completion)
	}
	if o.broken() {
		why, kind := o.cut()
		x.snapshot.router.Cut(o.served, kind, why)
		x.attempts.cut(kind, why)
		if !x.request.Stream {
			x.snapshot.router.NoteErrorBehind200(o.served)
		}
	}
	return o
}

// names is the metadata by which the other filters find the exchange.
func (s *Server) names(x *exchange) wire.Metadata {
	fields := make(wire.Metadata, 0, 96).Text(names.FieldID, x.id)
	if s.replica != "" {
		fields = fields.Text(names.FieldReplica, s.replica)
	}
	return make(wire.Metadata, 0, len(fields)+32).Object(names.NamespaceExchange, fields)
}

// registry finds running exchanges by id. It is safe for concurrent use.
type registry struct{ byID sync.Map }

func (r *registry) put(x *exchange)  { r.byID.Store(x.id, x) }
func (r *registry) drop(x *exchange) { r.byID.Delete(x.id) }

// find returns the exchange with this id, or nil: it is another replica's, or
// it has ended.
func (r *registry) find(id string) *exchange {
	if v, ok := r.byID.Load(id); ok {
		return v.(*exchange)
	}
	return nil
}
