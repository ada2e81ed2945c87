package extproc

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// record is what is told of an exchange when it has ended.
type record struct {
	id       string
	endpoint chat.Endpoint
	model    string // asked for, in the client's words
	asked    string // the same as the configuration spells it; "" when nobody serves it
	caller   string
	stream   bool
	cache    cache.Status
	outcome  outcome
	attempts []attemptRecord
	started  time.Time
	took     time.Duration
	own      time.Duration // of took: our own work
	queued   time.Duration // of took: waited for a slot
	quiet    bool          // a probe: not worth a line
	keyless  bool

	cacheKey string
	saved    callback.Prices // of the deployment whose stored answer the client got
}

// attemptRecord is one attempt of it.
type attemptRecord struct {
	group      string
	deployment string
	provider   string
	status     int
	took       time.Duration
	reason     string
	failed     bool
	cooled     bool
	began      time.Time
	hop        routing.Hop
	after      time.Duration // since the request came
	firstByte  time.Duration // to the headers of a good answer
}

// answered notes that the answer of attempt n is good and goes to the client.
func (x *exchange) answered(n, status int, hop routing.Hop) {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcome.status = status
	x.outcome.firstByte = now.Sub(x.started)
	x.outcome.served = &hop
	if n > 0 && n <= len(x.attempts) && x.attempts[n-1].running {
		x.attempts[n-1].firstByte = now.Sub(x.attempts[n-1].began)
		x.snapshot.router.Answered(&hop, x.attempts[n-1].firstByte)
	}
}

// answeredFromCache notes that the client gets a stored answer.
func (x *exchange) answeredFromCache(e *cache.Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcome.status, x.outcome.firstByte = http.StatusOK, time.Since(x.started)
	x.outcome.entry, x.outcome.result, x.outcome.complete = e, e.Result, true
}

// complete notes that the answer was read to its end.
func (x *exchange) complete(result chat.Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcome.complete = true
	x.outcome.result = result
	if e := result.Failure; e != nil {
		x.outcome.failure = e
	}
}

// hasUsage reports whether the answer said what it used.
func (x *exchange) hasUsage() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.outcome.result.HasUsage
}

// counted notes what an answer turned out to have used after it ended.
func (x *exchange) counted(result chat.Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	failure := x.outcome.result.Failure
	x.outcome.result = result
	x.outcome.result.Failure = failure
}

// failed notes that attempt n failed without a failure filter having said so.
func (x *exchange) failed(n, status int, reason string, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil || x.finished {
		return
	}
	x.madeLocked(n, now)
	o := x.unansweredLocked(n, now)
	switch o.Status = status; {
	case status > 0:
		o.Reason = reason
	case attemptTimeout(reason):
		o.TimedOut, o.Reason = true, timedAnswer // Envoy's clock may be a little ahead of ours
	}
	if strings.HasPrefix(reason, noHost) {
		o.Nowhere, o.Reason = true, noAddress
	}
	if reason == totalTimeout {
		o.Reason = timedAnswer
	}
	if reason == totalTimeout && n > 1 && !o.TimedOut {
		o = routing.Outcome{Reason: "the request's time was up"} // spent by the attempts before
	}
	x.endLocked(n, o, now)
}

// noHost is what Envoy says of a cluster without a host. It does not retry then.
const noHost = "no_healthy_upstream"

// totalTimeout is what Envoy calls the end of a request's whole time.
const totalTimeout = "response_timeout"

// attemptTimeout reports whether Envoy's details say that an attempt's time was up.
func attemptTimeout(details string) bool {
	switch details {
	case "stream_idle_timeout", "upstream_per_try_timeout", "upstream_per_try_idle_timeout":
		return true
	}
	return false
}

// lastReason is why attempt n failed.
func (x *exchange) lastReason(n int) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n < 1 || n > len(x.attempts) {
		return ""
	}
	return x.attempts[n-1].reason
}

// remember keeps an error as the one the client gets if nothing better follows.
func (x *exchange) remember(e *upstream.Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lastError = e
}

// refused notes that the client gets this error.
func (x *exchange) refused(e *upstream.Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refusedLocked(e)
}

func (x *exchange) refusedLocked(e *upstream.Error) {
	x.outcome.status = e.Status
	x.outcome.failure = e
	x.outcome.complete = true
}

// answeredHere notes an answer that no deployment was asked for.
func (x *exchange) answeredHere(status int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.outcome.status = status
	x.outcome.complete = true
}

// attemptsLocked is what is known of the attempts so far.
func (x *exchange) attemptsLocked(now time.Time) []attemptRecord {
	out := make([]attemptRecord, len(x.attempts))
	for i, a := range x.attempts {
		h := &x.plan.Hops[i]
		out[i] = attemptRecord{
			group: h.Group, deployment: h.Deployment.ID, provider: h.Deployment.Provider, status: a.status, took: a.took, reason: a.reason,
			failed: a.failed, cooled: a.cooled, began: a.began, hop: *h,
			after: a.began.Sub(x.started), firstByte: a.firstByte,
		}
		if a.running {
			out[i].status, out[i].took = x.outcome.status, now.Sub(a.began)
		}
	}
	return out
}

// details says how each attempt went, as a structured field (RFC 9651):
// deployment;status=500;ms=12;why="500 server_error", …
func details(attempts []attemptRecord) string {
	var b strings.Builder
	for i, a := range attempts {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;status=%d;ms=%d", a.deployment, a.status, a.took.Milliseconds())
		if a.reason != "" {
			fmt.Fprintf(&b, ";why=%+q", a.reason)
		}
	}
	return b.String()
}

func (x *exchange) recordLocked() record {
	rec := record{
		id: x.id, endpoint: x.route.endpoint, asked: x.askedLocked(), caller: x.caller, cache: x.caching.status, outcome: x.outcome,
		started: x.started, took: x.took, own: time.Duration(x.own.Load()), queued: x.queued, quiet: x.quiet, keyless: x.keyless,
	}
	if x.request != nil {
		rec.model, rec.stream = x.request.Model, x.request.Stream
	}
	if e := x.outcome.entry; e != nil {
		rec.cacheKey = x.caching.key.String()
		if d := x.snapshot.router.Deployment(e.Served.Deployment); d != nil {
			rec.saved = callback.Prices{Input: d.InputCost, Output: d.OutputCost}
		}
	}
	rec.attempts = x.attemptsLocked(x.started.Add(x.took))
	return rec
}
