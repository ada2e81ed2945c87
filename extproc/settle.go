package extproc

import (
	"strings"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// A request ends in two steps. When stream 1 closes, exchange.finish gives back
// at once what the request held. What it came to (who ended it, the tokens of an
// unread answer) may be known only a moment later, from Envoy's access log: then
// it is settled: limits are corrected, the record is written. When no entry comes
// in time, it is settled with what is known.

// carries reports whether Envoy can carry a hop's answer past this service: a
// stream in OpenAI's format whose usage chunk the client wants too, which nobody
// stores or shows. Reading a stream costs more than all the rest of a request.
func (s *requestStream) carries(hop *routing.Hop) bool {
	x := s.exchange
	return s.log == names.LogUsage && x.request.WantsUsage && hop.Translator.Carries(x.request) &&
		(x.caching.status == "" || x.caching.status == cache.Bypass) && !x.snapshot.wantsText
}

func isEventStream(header upstream.Header) bool {
	return strings.HasPrefix(header.Get("content-type"), "text/event-stream")
}

// marks is the metadata by which Envoy's access log knows an unread answer, and
// what its entries say of the request, since no metadata follows the body then.
func (s *requestStream) marks() wire.Metadata {
	x := s.exchange
	if !x.outcome.load().relayed {
		return nil
	}
	return x.metadata()
}

// undecided reports whether what the finished exchange came to is Envoy's to say:
// its answer passed unread, or broke off.
func (x *exchange) undecided() bool {
	o := x.outcome.load()
	return o.by == byDeployment && o.ended == notEnded
}

// settle tells what the finished exchange came to, once. entry is Envoy's word,
// or nil when it has none.
func (x *exchange) settle(entry *logEntry) {
	guard := x.snapshot.runtime.guard
	var rec record
	whole := guard.Run("the record of a request", func() { rec = x.record(x.decided(entry)) })
	guard.Run("the limits", func() { x.leave(&rec.outcome) })
	if whole {
		guard.Run("the callbacks", func() { x.snapshot.sendRecord(&rec) })
		guard.Run("the line of a request", func() { x.snapshot.runtime.publish(&rec, x.span) })
	}
	x.snapshot.runtime.open.Add(-1)
	x.snapshot.open.Add(-1)
}

// decided is the outcome of the finished exchange, in which Envoy's word fills what
// was undecided. The limits of the deployment and its health are told of it.
func (x *exchange) decided(entry *logEntry) outcome {
	o := x.outcome.load()
	if o.ended != notEnded {
		return o
	}
	known := entry != nil && entry.known
	o.end(entry)
	if o.relayed && !known && x.snapshot.tokens != nil {
		x.snapshot.tokens.Estimate(o.served.Model, x.request, &o.result)
	}
	if o.served == nil {
		return o
	}
	if o.relayed {
		x.snapshot.router.Used(o.served, o.result.Usage.Prompt+o.result.Usage.Completion)
	}
	if o.broken() {
		why := "the answer was cut (" + string(o.ended) + ")"
		x.snapshot.router.Cut(o.served, why)
		x.attempts.cut(why)
	}
	return o
}

// end decides how an answer ended, by Envoy's word; entry is nil when it has none.
// What was not read to its end, and of which Envoy says nothing, is taken as left by
// the client, and what Envoy relayed as whole.
func (o *outcome) end(entry *logEntry) {
	said := endedWhole
	if entry != nil && entry.ended != notEnded {
		said = entry.ended
	}
	switch {
	case said != endedWhole, o.relayed:
		o.ended = said
	default:
		o.ended = endedClient
	}
	if entry != nil && entry.known {
		o.result.Usage, o.result.HasUsage = entry.usage, true
	}
}

// entryWait is how long Envoy's entry is waited for: many flush intervals.
const entryWait = 2 * time.Second

// waiting are exchanges that have finished and wait for Envoy's entry; or that
// have an entry already while their stream still closes. Safe for concurrent
// use; the zero value is empty.
type waiting struct {
	guard *guard.Guard
	mu    sync.Mutex
	byID  map[string]*waiter
}

type waiter struct {
	entry  *logEntry
	settle func(*logEntry) // nil until the exchange has finished
	timer  *time.Timer
}

// expect makes room for an exchange whose entry may come.
func (w *waiting) expect(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID == nil {
		w.byID = map[string]*waiter{}
	}
	w.byID[id] = &waiter{}
}

// finished calls settle once: with the entry as soon as it is there, or with nil
// after a while.
func (w *waiting) finished(id string, settle func(*logEntry)) {
	if entry, known := w.await(id, settle); known {
		settle(entry)
	}
}

// await has settle called when the entry comes, or in time; unless it is known
// already, or nobody expects it.
func (w *waiting) await(id string, settle func(*logEntry)) (entry *logEntry, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	each := w.byID[id]
	if each == nil {
		return nil, true
	}
	if each.entry != nil {
		delete(w.byID, id)
		return each.entry, true
	}
	each.settle = settle
	each.timer = w.guard.AfterFunc(entryWait, "a request that Envoy says nothing of", func() { w.log(id, logEntry{}) })
	return nil, false
}

// forget gives up on an exchange that needs no entry.
func (w *waiting) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, id)
}

// log hands over an entry, and reports whether anybody expects it.
func (w *waiting) log(id string, entry logEntry) bool {
	settle, expected := w.take(id, &entry)
	if settle != nil {
		settle(&entry)
	}
	return expected
}

// take notes an entry. settle is what must be called with it: nil when its
// exchange has not finished.
func (w *waiting) take(id string, entry *logEntry) (settle func(*logEntry), expected bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	each, ok := w.byID[id]
	if !ok {
		return nil, false
	}
	if each.settle == nil {
		each.entry = entry
		return nil, true
	}
	delete(w.byID, id)
	each.timer.Stop()
	return each.settle, true
}
