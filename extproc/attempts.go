package extproc

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// attempts are the attempts of one request: the plan they follow, and how each began
// and ended. They are counted by their number (from 1), idempotently, never by
// streams: a refused attempt opens none. Safe for concurrent use; router, observer and
// the functions given to judge are called under its lock.
type attempts struct {
	router   attemptRouter
	observer attemptObserver

	mu        sync.Mutex
	plan      *routing.Plan // nil until follow
	made      []attempt     // attempt n is made[n-1]
	lastError *upstream.Error
	final     bool // no attempt follows the last: neither deadline nor retry budget allows one
	closed    bool // the request has ended: nothing begins or ends any more
}

// attemptRouter is what attempts need of routing.Router.
type attemptRouter interface {
	Begin(*routing.Hop)
	Answered(*routing.Hop, time.Duration)
	FirstToken(*routing.Hop, time.Duration)
	Done(*routing.Hop, routing.Outcome)
	Lost(p *routing.Plan, n int) bool
	Failed(p *routing.Plan, n int, f routing.Failure) routing.Next
	Choices(p *routing.Plan, n int) []routing.Choice
	Take(p *routing.Plan, n int, c routing.Choice) error
}

// attemptObserver is called once for each step of an attempt. It is called under the lock of the
// attempts and must not call them.
type attemptObserver interface {
	attemptBegan(n int, hop *routing.Hop)
	attemptEnded(n int, hop *routing.Hop, a *attempt)
	// attemptJudged gets what routing plans after the failure of attempt n.
	attemptJudged(n int, next routing.Next, p *routing.Plan)
}

// attempt is what is known of one attempt.
type attempt struct {
	began     time.Time
	running   bool
	failed    bool
	cooled    bool          // its deployment is in cooldown after it
	kind      upstream.Kind // of a failure
	answered  int           // the status of a good answer, from its headers on; 0: none yet
	reported  bool          // routing was told of its good answer
	status    int           // of the answer, when it has ended; 0: none came
	reason    string        // why it failed; "" when it did not
	took      time.Duration
	firstByte time.Duration // to the headers of a good answer
}

// Reasons of attempts that got no answer.
const (
	noAnswer    = "refused or reset"
	timedAnswer = "no answer in time"
	noAddress   = "its host name does not resolve"
)

// What Envoy says, in response.code_details, of answers that it made itself.
const (
	noHost       = "no_healthy_upstream" // a cluster without a host; Envoy does not retry then
	totalTimeout = "response_timeout"    // the request's whole time is over
)

// attemptTimeout reports whether Envoy's details say that an attempt's time was up.
func attemptTimeout(details string) bool {
	switch details {
	case "stream_idle_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout", "upstream_max_stream_duration_reached":
		return true
	}
	return false
}

// begin counts attempt n as running. It does nothing for an attempt that has begun,
// that is not in the plan, or after close.
func (a *attempts) begin(n int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.plannedLocked(n) {
		return
	}
	for len(a.made) < n {
		a.made = append(a.made, attempt{})
	}
	if at := &a.made[n-1]; at.began.IsZero() {
		at.began, at.running = now, true
		a.router.Begin(&a.plan.Hops[n-1])
		a.observer.attemptBegan(n, &a.plan.Hops[n-1])
	}
}

// plannedLocked reports whether attempt n is in the plan and the request runs.
func (a *attempts) plannedLocked(n int) bool {
	return a.plan != nil && !a.closed && n >= 1 && n <= len(a.plan.Hops)
}

// attemptLocked is attempt n; a zero one when it was not made.
func (a *attempts) attemptLocked(n int) *attempt {
	if n < 1 || n > len(a.made) {
		return &attempt{}
	}
	return &a.made[n-1]
}

// madeLocked counts the attempts up to n that no filter has heard of: Envoy made
// them, and they were refused before anything reached us.
func (a *attempts) madeLocked(n int, now time.Time) {
	for len(a.made) < min(n, len(a.plan.Hops)) {
		a.made = append(a.made, attempt{began: now, running: true})
		a.router.Begin(&a.plan.Hops[len(a.made)-1])
	}
}

// endLocked notes how attempt n ended. It reports whether that was not known yet:
// only the first call for an attempt counts. The Outcome's Total is filled in here.
func (a *attempts) endLocked(n int, o routing.Outcome, now time.Time) bool {
	at := a.attemptLocked(n)
	if !at.running {
		return false
	}
	at.running, at.failed, at.kind, at.status, at.reason, at.took = false, o.Failed, o.Kind, o.Status, o.Reason, now.Sub(at.began)
	if at.status == 0 {
		at.status = at.answered // of an answer that was not read to its end
	}
	o.Total = at.took
	a.router.Done(&a.plan.Hops[n-1], o)
	a.observer.attemptEnded(n, &a.plan.Hops[n-1], at)
	return true
}

// lost ends the attempts before n of which no answer was ever seen: they were
// refused, reset or timed out. Envoy has taken the next hop already; it reports
// whether that one may be made.
func (a *attempts) lost(n int, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil || a.closed {
		return true
	}
	a.madeLocked(n-1, now)
	may := !a.final
	for i := 1; i < n; i++ {
		if a.endLocked(i, a.unansweredLocked(i, now), now) {
			may = a.router.Lost(a.plan, i) && may
		}
	}
	return may
}

// unansweredLocked is the outcome of an attempt that got no answer. Envoy does not
// say why: one that took its whole time was cut by Envoy's timer.
func (a *attempts) unansweredLocked(n int, now time.Time) routing.Outcome {
	o := routing.Outcome{Failed: true, Kind: upstream.KindTransport, Reason: noAnswer}
	if n < 1 || n > len(a.made) || n > len(a.plan.Hops) {
		return o
	}
	if timeout := a.plan.SilentTime(n); timeout > 0 && now.Sub(a.made[n-1].began) >= timeout-timerSlack(timeout) {
		o.Kind, o.Reason = upstream.KindTimeout, timedAnswer
	}
	return o
}

// answered notes that the headers of a good answer to attempt n came.
func (a *attempts) answered(n, status int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.attemptLocked(n); at.running {
		at.answered, at.firstByte = status, now.Sub(at.began)
	}
}

// failed notes that attempt n failed without a failure filter having judged it: with a
// status and a reason, or, with status 0, without an answer, of which Envoy's
// details are the reason.
func (a *attempts) failed(n, status int, reason string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil || a.closed {
		return
	}
	a.madeLocked(n, now)
	o := a.unansweredLocked(n, now)
	switch o.Status = status; {
	case status > 0:
		o.Kind, o.Reason = upstream.KindOf(&upstream.Error{Status: status}), reason
	case attemptTimeout(reason):
		o.Kind, o.Reason = upstream.KindTimeout, timedAnswer // Envoy's clock may be a little ahead of ours
	}
	switch {
	case strings.HasPrefix(reason, noHost):
		o.Nowhere, o.Reason = true, noAddress
	case reason == totalTimeout && n > 1 && o.Kind != upstream.KindTimeout:
		o = routing.Outcome{Reason: "the request's time was up"} // spent by the attempts before
	case reason == totalTimeout:
		o.Reason = timedAnswer
	}
	a.endLocked(n, o, now)
}

// judge ends attempt n with a provider's error, which becomes the last error, and has
// routing plan what follows. Hops that able refuses are taken out of a plan that can
// change. planned is the deployment of the attempt that follows; nil: none does, or
// the plan is fixed.
func (a *attempts) judge(
	n int, e *upstream.Error, o routing.Outcome, able func(*routing.Hop) bool, now time.Time,
) (next routing.Next, planned *routing.Deployment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastError = e
	if a.closed || !a.endLocked(n, o, now) {
		return routing.Next{}, nil
	}
	next = a.router.Failed(a.plan, n, routing.Failure{Kind: o.Kind, Asked: o.RetryAfter})
	a.observer.attemptJudged(n, next, a.plan)
	if !next.Retry || a.plan.Fixed {
		return next, nil
	}
	for len(a.plan.Hops) > n {
		if hop := &a.plan.Hops[n]; able(hop) {
			return next, hop.Deployment
		}
		a.plan.Hops = slices.Delete(a.plan.Hops, n, n+1)
	}
	return routing.Next{}, nil
}

// failedWith ends attempt n with a provider's error, which becomes the last error. Envoy
// takes the next hop of the plan by itself then; lost reports whether that one may be made.
func (a *attempts) failedWith(n int, e *upstream.Error, o routing.Outcome, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed && a.plan != nil && a.endLocked(n, o, now) {
		a.lastError = e
		a.final = n < len(a.plan.Hops) && !a.router.Lost(a.plan, n)
	}
}

// count is how many attempts were made.
func (a *attempts) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.made)
}

// fallbacks is how many groups were given up before the last attempt.
func (a *attempts) fallbacks() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.plan == nil || len(a.made) == 0 || len(a.made) > len(a.plan.Hops) {
		return 0
	}
	return a.plan.Hops[len(a.made)-1].Fallback
}

// lastReason is why attempt n failed; "" when it did not, or was not made.
func (a *attempts) lastReason(n int) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attemptLocked(n).reason
}

// spent is what attempt n has used of its limits, if it got no good answer.
func (a *attempts) spent(n int) limit.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.attemptLocked(n).spent()
}

// spent is what a failed attempt has used. One that was still running when its time
// was up or the client left has reached the provider, which may have worked on it:
// the estimate stands. An error counts as a request without tokens.
func (at *attempt) spent() limit.Outcome {
	reached := !at.began.IsZero() && at.reason != noAnswer && at.reason != noAddress
	return limit.Outcome{Reached: reached, Known: at.status > 0}
}

// remember keeps an error as the one the client gets if nothing better follows.
func (a *attempts) remember(e *upstream.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastError = e
}

// rememberFirst is remember where no error is kept yet; it reports whether it is e now.
func (a *attempts) rememberFirst(e *upstream.Error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lastError == nil {
		a.lastError = e
	}
	return a.lastError == e
}

// remembered is the error of the last attempt that failed with one, or nil.
func (a *attempts) remembered() *upstream.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lastError
}

// cut notes, after close, that the answer of the last attempt was not whole.
func (a *attempts) cut(kind upstream.Kind, why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.made); n > 0 {
		a.made[n-1].kind, a.made[n-1].reason = kind, why
	}
}

// close ends the attempts that run, with this outcome, and reports whether this is
// the first call. A panic in the end of one leaves the others to be ended.
func (a *attempts) close(o routing.Outcome, now time.Time, g *guard.Guard) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.closed = true
	for n := range a.made {
		g.Run("the end of an attempt", func() { a.endLocked(n+1, o, now) })
	}
	return true
}
