package extproc

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/status"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// record is what is recorded of a request that has ended: a plain value, made once
// (exchange.record) and from then on only read. Five render it: the log (logAttrs), the
// metrics (metricsRequest), the status page (statusRequest), the spans (traceSummary) and
// the callbacks (callbackRecord). What more than one of them needs is worked out here.
type record struct {
	id              string
	endpoint        chat.Endpoint
	operation       string          // the endpoint in the words of the GenAI conventions; "" when it calls no model
	request         *chat.Request   // nil when its body was not read
	header          upstream.Header // the client's; holds keys, and is never printed
	model           string          // asked for, in the client's words
	asked           string          // the same as the configuration spells it; "" when no deployment serves it
	caller          string
	tags            []string
	stream          bool
	probe           bool // a health check or a preflight: it leaves no line
	unauthenticated bool // refused, and without a valid key

	started   time.Time
	took      time.Duration // to the end
	overhead  time.Duration // of took: this service's own work
	queued    time.Duration // of took: waited for a slot
	queuedFor string        // the limits that it waited for; "" when they are not known
	limitedBy string        // the limits that refused it; "": none did, or they are not known

	outcome                    // what the client got
	answer     jsontext.Value  // the text of it; nil unless callbacks want records
	answeredBy cache.Served    // whose answer it is, a stored one's too; zero: a deployment gave none
	prices     callback.Prices // of that deployment, or else of the last that failed
	cost       float64         // USD; 0 for a stored answer, or when no price is known
	cache      cache.Status    // "": there is no cache
	cacheKey   string          // of a stored answer

	attempts  []attemptRecord
	fallbacks []metrics.Fallback // the steps from group to group that the attempts took
}

// attemptRecord is one attempt of a record.
type attemptRecord struct {
	attempt
	hop   routing.Hop
	after time.Duration   // from the request's begin to the attempt's
	end   metrics.Outcome // how it ended, by what is known when the request has ended
	code  int             // the provider's status, likewise; 0: no answer came
}

// records is what is known of the attempts so far, for a request that began at
// started.
func (a *attempts) records(started, now time.Time) []attemptRecord {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]attemptRecord, len(a.made))
	for i, at := range a.made {
		if at.running {
			at.status, at.took = at.answered, now.Sub(at.began)
		}
		out[i] = attemptRecord{attempt: at, hop: a.plan.Hops[i], after: at.began.Sub(started)}
	}
	return out
}

// record makes the record of an exchange that ended with this outcome.
func (x *exchange) record(o outcome) record {
	rec := record{
		id: x.id, endpoint: x.path.endpoint, request: x.request, header: x.header, asked: x.asked(), caller: x.caller, tags: x.tags,
		probe: x.probe, unauthenticated: x.unauthenticated, started: x.started, took: x.took, overhead: time.Duration(x.overhead.Load()),
		queued: x.queued, queuedFor: x.queuedFor, limitedBy: x.reservation.limits(),
		outcome: o, answer: x.capture.answer, cache: x.caching.status, attempts: x.attempts.records(x.started, x.started.Add(x.took)),
	}
	if x.request != nil {
		rec.model, rec.stream = x.request.Model, x.request.Stream
	}
	if e := o.entry; e != nil {
		rec.cacheKey, rec.answer = x.caching.key.String(), e.JSON
		if d := x.snapshot.router.Deployment(e.Served.Deployment); d != nil {
			rec.prices = pricesOf(d)
		}
	}
	rec.derive()
	return rec
}

// asked is the name asked for as the configuration spells it; "" when no deployment
// serves it: a client's text is no label.
func (x *exchange) asked() string {
	if name := x.attempts.planName(); name != "" {
		return name
	}
	if x.request != nil && x.snapshot.router.Has(x.request.Model) {
		return x.snapshot.router.ConfiguredName(x.request.Model)
	}
	return ""
}

// derive fills in what follows from the outcome and the attempts.
func (rec *record) derive() {
	rec.operation = trace.Operation(rec.endpoint)
	for i := range rec.attempts {
		a := &rec.attempts[i]
		a.end, a.code = rec.endOf(a, i == len(rec.attempts)-1)
		a.kind = a.kindOf()
	}
	rec.fallbacks = fallbacksOf(rec.attempts)
	rec.answeredBy = rec.origin()
	switch {
	case rec.entry != nil:
	case rec.served != nil:
		rec.prices = pricesOf(rec.served.Deployment)
		u := &rec.result.Usage
		rec.cost = float64(u.Prompt)*rec.prices.Input + float64(u.Completion)*rec.prices.Output
	case len(rec.attempts) > 0:
		rec.prices = pricesOf(rec.lastHop().Deployment)
	}
}

// endOf is how an attempt ended, and the provider's status. What Envoy says of the
// answer at last is not yet in the attempt itself.
func (rec *record) endOf(a *attemptRecord, last bool) (metrics.Outcome, int) {
	switch {
	case a.reason == timedAnswer, !a.failed && a.status == 0 && a.reason != "":
		return metrics.TimedOut, a.status
	case a.failed && a.status == 0:
		return metrics.NoAnswer, 0
	case a.failed:
		return metrics.Failed, a.status
	case a.status > 0 && (rec.ended == endedWhole || rec.served == nil || !last):
		return metrics.Good, a.status
	case !last || rec.served == nil:
		return metrics.Abandoned, 0
	case rec.ended == endedWhole:
		return metrics.Good, rec.status
	case rec.broken():
		return metrics.Failed, rec.status
	}
	return metrics.Abandoned, rec.status
}

// kindOf is the kind of an attempt's failure by how it ended; KindUnknown: it did not
// fail.
func (a *attemptRecord) kindOf() upstream.Kind {
	switch a.end {
	case metrics.Good, metrics.Abandoned:
		return upstream.KindUnknown
	case metrics.TimedOut:
		return upstream.KindTimeout
	}
	return cmp.Or(a.kind, upstream.KindTransport) // of an answer that broke off, nothing was said before
}

// fallbacksOf are the steps from group to group that attempts took.
func fallbacksOf(attempts []attemptRecord) []metrics.Fallback {
	var out []metrics.Fallback
	stage, status := 0, 0
	for i := range attempts {
		a := &attempts[i]
		if a.hop.Fallback > stage {
			stage = a.hop.Fallback
			out = append(out, metrics.Fallback{To: a.hop.Deployment.Group, Status: status})
		}
		status = a.code
		if len(out) > 0 && a.end == metrics.Good {
			out[len(out)-1].Good = true
		}
	}
	return out
}

// lastHop is the hop of the last attempt; nil when none was made.
func (rec *record) lastHop() *routing.Hop {
	if n := len(rec.attempts); n > 0 {
		return &rec.attempts[n-1].hop
	}
	return nil
}

// aborted reports whether the answer did not come to its end.
func (rec *record) aborted() bool { return rec.ended != endedWhole }

// failed reports whether the client got an error, inside a stream too.
func (rec *record) failed() bool { return rec.failure != nil || rec.broken() }

// reportedError is the error that log and records have: the client's, or why its answer broke
// off, or that it left before one; nil: there was none.
func (rec *record) reportedError() *upstream.Error {
	switch {
	case rec.failure != nil:
		return rec.failure
	case rec.aborted() && rec.served == nil:
		return clientGone()
	case rec.broken():
		return rec.cutFailure()
	}
	return nil
}

// errorCode is the code, else the type, of the error that the client got; "".
func (rec *record) errorCode() string {
	if rec.failure == nil {
		return ""
	}
	return cmp.Or(rec.failure.Code, rec.failure.Type)
}

// errorType is the error.type of the GenAI conventions; "" for a good answer.
func (rec *record) errorType() string {
	return metrics.ErrorType(rec.status, rec.aborted(), rec.failed())
}

// timeToFirstToken is when the first event of a stream came that carries something. Of
// one that Envoy carries past this service it is when its body began, or, where Envoy
// does not say that, its headers. 0: none came.
func (rec *record) timeToFirstToken() time.Duration {
	if rec.relayed && rec.stream && rec.firstToken == 0 {
		return rec.firstByte
	}
	return rec.firstToken
}

// namedCaller is who asked, by name; "" where callers are not told apart.
func (rec *record) namedCaller() string {
	if rec.caller == sharedCaller || rec.caller == unnamedCaller {
		return ""
	}
	return rec.caller
}

// servedBy says who a hop is.
func servedBy(hop *routing.Hop) cache.Served {
	d := hop.Deployment
	return cache.Served{Provider: d.Provider, Deployment: d.ID, Group: hop.Group, Model: hop.Model, Fallback: hop.Fallback}
}

func pricesOf(d *routing.Deployment) callback.Prices {
	return callback.Prices{Input: d.InputCost, Output: d.OutputCost}
}

// details says how each attempt went, as a structured field (RFC 9651):
// deployment;status=500;ms=12;why="500 server_error", …
func details(attempts []attemptRecord) string {
	var b strings.Builder
	for i := range attempts {
		a := &attempts[i]
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s;status=%d;ms=%d", a.hop.Deployment.ID, a.status, a.took.Milliseconds())
		if a.reason != "" {
			fmt.Fprintf(&b, ";why=%+q", a.reason)
		}
	}
	return b.String()
}

// statusRequest is the record as the status page has it.
func (rec *record) statusRequest() status.Request {
	r := status.Request{
		ID: rec.id, Endpoint: string(rec.endpoint), Model: rec.model, Status: rec.status, Stream: rec.stream, Aborted: rec.aborted(),
		Cache: string(rec.cache), Prompt: rec.result.Usage.Prompt, Completion: rec.result.Usage.Completion, Counted: rec.result.HasUsage,
		Deployment: rec.answeredBy.Deployment, Group: rec.answeredBy.Group, Error: rec.errorCode(),
		FirstByte: status.Milliseconds(rec.firstByte), Took: status.Milliseconds(rec.took),
	}
	if rec.entry != nil {
		r.Cache = string(cache.Hit)
	}
	if len(rec.attempts) > 0 {
		r.Attempts = make([]status.Attempt, len(rec.attempts))
	}
	for i := range rec.attempts {
		a := &rec.attempts[i]
		r.Attempts[i] = status.Attempt{
			Deployment: a.hop.Deployment.ID, Group: a.hop.Group, Status: a.status, Failed: a.reason != "" || a.status >= http.StatusBadRequest,
			Reason: a.reason, After: status.Milliseconds(a.after), FirstByte: status.Milliseconds(a.firstByte), Took: status.Milliseconds(a.took),
		}
	}
	return r
}
