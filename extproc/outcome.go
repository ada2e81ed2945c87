package extproc

import (
	"net/http"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// answerer is who answers the client.
type answerer uint8

const (
	byNone       answerer = iota // not decided yet
	byGateway                    // this service, without an attempt: lists, health, refusals
	byCache                      // a stored answer
	byDeployment                 // a deployment, with a good answer or one that turned out to be an error
	byFailure                    // this service, with an error after the last attempt
	byDeadline                   // this service, when the request's time was up
	byDisconnect                 // none: the client left first
)

// ending is who ended an answer. All values but notEnded and endedWhole stand in
// logs and records.
type ending string

const (
	notEnded      ending = ""
	endedWhole    ending = "whole" // it came to its end, or its body is not read here
	endedClient   ending = "client"
	endedUpstream ending = "upstream"
	endedTimeout  ending = "timeout"
)

// outcome is what the client gets: whose answer, and what is known of it.
type outcome struct {
	by         answerer      // set by claim alone
	status     int           // sent to the client; 0: nothing was
	firstByte  time.Duration // to the response headers
	firstToken time.Duration // to the first event of a stream that carries something; 0: none came, or it is not known
	served     *routing.Hop  // byDeployment: the hop of that one; else nil
	entry      *cache.Entry  // byCache: what is stored; else nil
	relayed    bool          // Envoy carries the answer's body past this service
	idle       bool          // when stream 1 closed, nothing had come for as long as the attempt allows
	lastEvent  int64         // how many bytes of the answer its client needs to have its last event; 0: that was not read
	result     chat.Result
	ended      ending
	failure    *upstream.Error // that the client gets; nil: none
}

// claim makes who the answerer of the client and reports whether it is: the first
// claim decides, and later ones change nothing.
func (o *outcome) claim(who answerer) bool {
	if o.by != byNone {
		return false
	}
	o.by = who
	return true
}

// broken reports whether the provider cut the answer off.
func (o *outcome) broken() bool { return o.ended == endedUpstream || o.ended == endedTimeout }

// cut is why the attempt of a broken answer failed, and its kind.
func (o *outcome) cut() (why string, kind upstream.Kind) {
	kind = upstream.KindTransport
	if o.ended == endedTimeout {
		kind = upstream.KindTimeout
	}
	return "the answer was cut (" + string(o.ended) + ")", kind
}

// origin is the deployment whose answer the client gets, a stored one's too; zero:
// none gave it.
func (o *outcome) origin() cache.Served {
	switch {
	case o.entry != nil:
		return o.entry.Served
	case o.served != nil:
		return servedBy(o.served)
	}
	return cache.Served{}
}

// attempt is the outcome of the attempt that was running when the exchange ended.
// An answer that was not read to its end says nothing about the deployment's health:
// it may be the client that left. Its tokens were used.
func (o *outcome) attempt() routing.Outcome {
	switch {
	case o.served == nil:
		return routing.Outcome{}
	case o.ended == notEnded && o.lastEvent == 0:
		return routing.Outcome{Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
	case o.result.Failure != nil:
		failure, reason := o.result.Failure, "the answer failed: "+o.result.Failure.Type
		if o.broken() {
			reason, _ = o.cut()
		}
		return routing.Outcome{
			Failed: true, Kind: upstream.KindOf(failure), Status: failure.Status, RetryAfter: failure.RetryAfter,
			Reason: reason, Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion,
		}
	}
	return routing.Outcome{Status: o.status, Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
}

// end decides how an answer ended, by the entry of Envoy's access log; nil: there is none.
// What was not read to its end, and has no entry, is taken as left by the client, and what
// Envoy relayed as whole; so is what broke off when the client had the last event. Where
// nothing of an answer had left when it broke off, the client got an error of Envoy's
// instead, and that one's status.
func (o *outcome) end(entry *logEntry) {
	how := endedWhole
	if entry != nil && entry.ended != notEnded {
		how = entry.ended
	}
	if how == endedUpstream && o.idle {
		how = endedTimeout // by the listener inside Envoy, which looks like the provider's end
	}
	switch {
	case o.lastEvent > 0 && (how == endedWhole || entry.bytes >= o.lastEvent):
		o.ended = endedWhole
	case how != endedWhole, o.relayed:
		o.ended = how
	default:
		o.ended = endedClient
	}
	if o.broken() && entry.status >= http.StatusBadRequest {
		o.status = entry.status
	}
}

// lockedOutcome is the outcome of a running exchange, safe for concurrent use: the
// request's deadline comes beside stream 1. The zero value is that of one that has
// just begun.
type lockedOutcome struct {
	mu      sync.Mutex
	outcome outcome
}

// load returns the outcome so far.
func (l *lockedOutcome) load() outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outcome
}

// disconnect claims the answer for no one: from now on nothing can be answered.
func (l *lockedOutcome) disconnect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome.claim(byDisconnect)
}

// deployed claims the answer for a deployment, whose good headers came this long
// after the request.
func (l *lockedOutcome) deployed(hop *routing.Hop, status int, firstByte time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	if !o.claim(byDeployment) {
		return false
	}
	o.served, o.status, o.firstByte = hop, status, firstByte
	return true
}

// cached claims the answer for the cache.
func (l *lockedOutcome) cached(e *cache.Entry, firstByte time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	if !o.claim(byCache) {
		return false
	}
	o.entry, o.status, o.firstByte, o.result, o.ended = e, http.StatusOK, firstByte, e.Result, endedWhole
	return true
}

// local claims the answer for this service, which asks no deployment.
func (l *lockedOutcome) local(status int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	if !o.claim(byGateway) {
		return false
	}
	o.status, o.ended = status, endedWhole
	return true
}

// refused claims the answer for an error: byGateway, byFailure or byDeadline.
func (l *lockedOutcome) refused(who answerer, e *upstream.Error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	if !o.claim(who) {
		return false
	}
	o.status, o.failure, o.ended = e.Status, e, endedWhole
	return true
}

// relay notes that Envoy carries the body of the answer past this service.
func (l *lockedOutcome) relay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome.relayed = true
}

// began notes that the first of a streamed answer came this long after the request.
func (l *lockedOutcome) began(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome.firstToken = after
}

// idled notes that nothing of an answer had come for as long as its attempt allows.
func (l *lockedOutcome) idled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome.idle = true
}

// complete notes that the answer was read to its end. Its failure, if it has one, is
// the client's.
func (l *lockedOutcome) complete(result chat.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	o.ended, o.result = endedWhole, result
	if result.Failure != nil {
		o.failure = result.Failure
	}
}

// completeAt notes that the answer broke off after its last event, which the client has
// with so many bytes of it.
func (l *lockedOutcome) completeAt(result chat.Result, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcome.result, l.outcome.lastEvent = result, bytes
}

// stalled notes that the provider stopped in the middle of an answer, whose last event
// to the client is the result's failure.
func (l *lockedOutcome) stalled(result chat.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	o.ended, o.result, o.failure = endedTimeout, result, result.Failure
}

// replaced notes that an answer was read to its end and that the client gets its
// failure in its place, with that one's status.
func (l *lockedOutcome) replaced(result chat.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &l.outcome
	o.ended, o.result, o.failure, o.status = endedWhole, result, result.Failure, result.Failure.Status
}

// counted notes what an answer turned out to have used after it was read.
func (l *lockedOutcome) counted(result chat.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	result.Failure = l.outcome.result.Failure
	l.outcome.result = result
}
