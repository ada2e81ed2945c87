package extproc

import (
	"fmt"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
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
	lacked   string        // the limits that it waited for; "" when they are not known
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

// answered notes that the headers of attempt n's answer are good and go to the client.
// It reports whether they may: whether nothing else has answered.
func (x *exchange) answered(n, status int, hop routing.Hop) bool {
	now := time.Now()
	if !x.outcome.deployed(&hop, status, now.Sub(x.started)) {
		return false
	}
	x.attempts.answered(n, status, &hop, now)
	return true
}

// records is what is known of the attempts so far, for a request that began at
// started.
func (a *attempts) records(started, now time.Time) []attemptRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]attemptRecord, len(a.made))
	for i, at := range a.made {
		h := &a.plan.Hops[i]
		out[i] = attemptRecord{
			group: h.Group, deployment: h.Deployment.ID, provider: h.Deployment.Provider, status: at.status, took: at.took, reason: at.reason,
			failed: at.failed, cooled: at.cooled, began: at.began, hop: *h,
			after: at.began.Sub(started), firstByte: at.firstByte,
		}
		if at.running {
			out[i].status, out[i].took = at.answered, now.Sub(at.began)
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

func (x *exchange) record(o outcome) record {
	rec := record{
		id: x.id, endpoint: x.path.endpoint, asked: x.asked(), caller: x.caller, cache: x.caching.status, outcome: o,
		started: x.started, took: x.took, own: time.Duration(x.own.Load()), queued: x.queued, lacked: x.queuedFor,
		quiet: x.quiet, keyless: x.keyless,
		attempts: x.attempts.records(x.started, x.started.Add(x.took)),
	}
	if x.request != nil {
		rec.model, rec.stream = x.request.Model, x.request.Stream
	}
	if e := o.entry; e != nil {
		rec.cacheKey = x.caching.key.String()
		if d := x.snapshot.router.Deployment(e.Served.Deployment); d != nil {
			rec.saved = callback.Prices{Input: d.InputCost, Output: d.OutputCost}
		}
	}
	return rec
}
