package extproc

import (
	"crypto/rand"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// exchange is one client request and everything it holds. Stream 1 owns it: it
// is made when the request's headers come and finished when that stream closes.
// The streams of the retry and failure filters find it by its id, so its state
// is behind mu.
type exchange struct {
	id       string // ours, never the client's x-request-id
	started  time.Time
	snapshot *Snapshot // the configuration the request began under
	route    route
	quiet    bool // a health probe
	keyless  bool // refused, and without a valid key: see strangers

	request  *chat.Request // nil until the body was read
	caller   string        // who asks, as far as it is known; ""
	tags     []string
	header   upstream.Header // the client's; never printed
	caching  caching
	reporter reporter
	span     *trace.Request // nil: nobody traces
	own      atomic.Int64   // nanoseconds of our own work for it, waits excluded

	mu        sync.Mutex
	plan      *routing.Plan
	attempts  []attempt // attempt n is attempts[n-1]
	lastError *upstream.Error
	outcome   outcome
	finished  bool
	ready     prepared
	admission *limit.Admission // nil: nothing is limited
	secured   int              // the attempt that has room in the limits
	queued    time.Duration    // waited for a slot
	took      time.Duration    // to the end; set by finish
	steps     []step           // not written yet
}

// attempt is what is known of one attempt.
type attempt struct {
	began     time.Time
	running   bool
	failed    bool
	cooled    bool   // its deployment rests after it
	status    int    // of the answer; 0: none came
	reason    string // why it failed; "" when it did not
	took      time.Duration
	firstByte time.Duration // to the headers of a good answer
}

// noAnswer is the reason of an attempt that was refused, reset or timed out.
const (
	noAnswer    = "refused or reset"
	timedAnswer = "no answer in time"
	noAddress   = "its host name does not resolve"
)

// outcome is how the exchange ended, as far as stream 1 has seen it.
type outcome struct {
	status     int           // sent to the client; 0: no answer was seen
	firstByte  time.Duration // to the response headers
	firstToken time.Duration // to the first piece of a stream; 0: none came, or nobody looked
	served     *routing.Hop  // who answered
	entry      *cache.Entry  // or what the cache answered with
	result     chat.Result
	complete   bool // the answer was read to its end, or its body was not ours to read
	unread     bool // Envoy carries the answer's body past us
	ended      ending
	failure    *upstream.Error
}

// attempt is the outcome of the attempt that was running when the exchange
// ended. An answer that was not read to its end says nothing about the
// deployment's health: it may be the client that left. Its tokens were used.
func (o *outcome) attempt() routing.Outcome {
	switch {
	case o.served == nil:
		return routing.Outcome{}
	case !o.complete:
		return routing.Outcome{Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
	case o.result.Failure != nil:
		return routing.Outcome{Failed: true, Status: o.status, Reason: "the answer failed: " + o.result.Failure.Type}
	}
	return routing.Outcome{Status: o.status, Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
}

func newExchange(g *Snapshot, r route, now time.Time) *exchange {
	g.runtime.open.Add(1)
	g.open.Add(1)
	return &exchange{id: rand.Text(), started: now, snapshot: g, route: r}
}

// begin counts attempt n as running. Calling it again for the same attempt does
// nothing: attempts are counted by their number, never by streams.
func (x *exchange) begin(n int, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.finished || x.plan == nil || n < 1 || n > len(x.plan.Hops) {
		return
	}
	for len(x.attempts) < n {
		x.attempts = append(x.attempts, attempt{})
	}
	a := &x.attempts[n-1]
	if !a.began.IsZero() {
		return
	}
	a.began, a.running = now, true
	x.snapshot.router.Begin(&x.plan.Hops[n-1])
	x.stepBeginLocked(n)
}

// endLocked notes how attempt n ended; only the first call for an attempt counts.
// The Outcome's Total is filled in here.
func (x *exchange) endLocked(n int, o routing.Outcome, now time.Time) bool {
	if n < 1 || n > len(x.attempts) || !x.attempts[n-1].running {
		return false
	}
	a := &x.attempts[n-1]
	a.running, a.failed, a.status, a.reason, a.took = false, o.Failed, o.Status, o.Reason, now.Sub(a.began)
	if a.status == 0 && n == len(x.attempts) && x.outcome.served != nil {
		a.status = x.outcome.status // an answer that was not read to its end
	}
	o.Total = a.took
	x.snapshot.router.Done(&x.plan.Hops[n-1], o)
	x.called(n, &x.plan.Hops[n-1], a)
	x.stepEndLocked(n)
	x.coolsLocked(n)
	return true
}

// lostBefore ends the attempts before n of which no answer was ever seen: they
// were refused, reset or timed out. Envoy has taken the next hop already; it
// reports whether that one may be made.
func (x *exchange) lostBefore(n int, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil || x.finished {
		return true
	}
	x.madeLocked(n-1, now)
	may := true
	for i := 1; i < n; i++ {
		if x.endLocked(i, x.unansweredLocked(i, now), now) {
			may = x.snapshot.router.Lost(x.plan, i) && may
		}
	}
	return may
}

// unansweredLocked is the outcome of an attempt that got no answer. Nobody says
// why: one that took its whole time was cut by Envoy's timer.
func (x *exchange) unansweredLocked(n int, now time.Time) routing.Outcome {
	o := routing.Outcome{Failed: true, Reason: noAnswer}
	if n <= len(x.attempts) && x.plan.Timeout > 0 && now.Sub(x.attempts[n-1].began) >= x.plan.Timeout-early(x.plan.Timeout) {
		o.TimedOut, o.Reason = true, timedAnswer
	}
	return o
}

// early is how much sooner than that a busy Envoy's timer may fire: it counts from
// the beginning of a turn of its event loop.
func early(timeout time.Duration) time.Duration { return min(timeout/10, 50*time.Millisecond) }

// madeLocked counts the attempts up to n that no filter has heard of: Envoy made
// them, and they were refused before anything reached us.
func (x *exchange) madeLocked(n int, now time.Time) {
	for len(x.attempts) < min(n, len(x.plan.Hops)) {
		x.attempts = append(x.attempts, attempt{began: now, running: true})
		x.snapshot.router.Begin(&x.plan.Hops[len(x.attempts)-1])
	}
}

// hop returns hop n (1-based) of the plan.
func (x *exchange) hop(n int) (routing.Hop, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil || x.finished || n < 1 || n > len(x.plan.Hops) {
		return routing.Hop{}, false
	}
	return x.plan.Hops[n-1], true
}

// hopOn returns the hop of attempt n, which is on the deployment with this id:
// an Envoy that walks a fixed order may have passed over a deployment, and the
// plan is then changed to what happened. moved tells of that; an id that is in
// no hop is not ok. Without an id it is hop n.
func (x *exchange) hopOn(n int, id string) (hop routing.Hop, moved, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil || x.finished || n < 1 || n > len(x.plan.Hops) {
		return routing.Hop{}, false, false
	}
	planned := &x.plan.Hops[n-1]
	if id == "" || planned.Deployment.ID == id {
		return *planned, false, true
	}
	i := slices.IndexFunc(x.plan.Hops, func(h routing.Hop) bool { return h.Deployment.ID == id })
	if i < 0 {
		return routing.Hop{}, false, false
	}
	if n <= len(x.attempts) && x.attempts[n-1].running {
		x.snapshot.router.Done(planned, routing.Outcome{}) // it was never asked
		x.snapshot.router.Begin(&x.plan.Hops[i])
	}
	if i >= n {
		x.plan.Hops[i], *planned = *planned, x.plan.Hops[i] // it may still be tried
	} else {
		*planned = x.plan.Hops[i] // a second try; what was before stays
	}
	return *planned, true, true
}

// finish gives back everything the exchange holds. It is the one place where a
// request ends; only the first call does anything. What the request came to is
// told by settle, which follows it.
func (x *exchange) finish(now time.Time) {
	guard := x.snapshot.runtime.guard
	a, first := x.stop(now)
	if !first {
		return
	}
	if a != nil {
		guard.Run("the limits", a.Release)
	}
	guard.Run("the log", x.tell)
	if x.request != nil && len(x.request.Body.Source()) >= hugeBody {
		x.snapshot.runtime.giveBack()
	}
}

// stop ends the attempts that run. It returns what the exchange holds in the
// limits, and reports whether this is the first call.
func (x *exchange) stop(now time.Time) (_ *limit.Admission, first bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.finished {
		return nil, false
	}
	x.finished = true
	for n := range x.attempts {
		x.snapshot.runtime.guard.Run("the end of an attempt", func() { x.endLocked(n+1, x.outcome.attempt(), now) })
	}
	x.took = now.Sub(x.started)
	return x.admission, true
}

// planned notes the attempts that may be made.
func (x *exchange) planned(p *routing.Plan) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.plan = p
}

// names is the metadata by which the other filters find the exchange.
func (s *Server) names(x *exchange) metadata {
	fields := make(metadata, 0, 96).text(names.FieldID, x.id)
	if s.replica != "" {
		fields = fields.text(names.FieldReplica, s.replica)
	}
	return make(metadata, 0, len(fields)+32).object(names.NamespaceExchange, fields)
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
