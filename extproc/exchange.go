package extproc

import (
	"crypto/rand"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// exchange is one client request and everything it holds. Stream 1 owns it: it
// is made when the request's headers come and finished when that stream closes.
// The streams of the retry and failure filters find it by its id, so its state
// is behind mu.
type exchange struct {
	id      string // ours, never the client's x-request-id
	started time.Time
	gateway *Gateway // the configuration the request began under
	route   route
	quiet   bool // a health probe

	request *chat.Request // nil until the body was read

	mu        sync.Mutex
	plan      *routing.Plan
	attempts  []attempt // attempt n is attempts[n-1]
	lastError *upstream.Error
	outcome   outcome
	finished  bool
}

// attempt is what is known of one attempt.
type attempt struct {
	began   time.Time
	running bool
	status  int    // of the answer; 0: none came
	reason  string // why it failed; "" when it did not
	took    time.Duration
}

// outcome is how the exchange ended, as far as stream 1 has seen it.
type outcome struct {
	status    int           // sent to the client; 0: no answer was seen
	firstByte time.Duration // to the response headers
	served    *routing.Hop  // who answered
	result    chat.Result
	complete  bool // the answer was read to its end, or its body was not ours to read
	failure   *upstream.Error
}

func newExchange(g *Gateway, r route, now time.Time) *exchange {
	g.owner.open.Add(1)
	return &exchange{id: rand.Text(), started: now, gateway: g, route: r}
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
	x.plan.Hops[n-1].Deployment.Begin()
}

// endLocked notes how attempt n ended; only the first call for an attempt counts.
func (x *exchange) endLocked(n, status int, reason string, now time.Time) bool {
	if n < 1 || n > len(x.attempts) || !x.attempts[n-1].running {
		return false
	}
	a := &x.attempts[n-1]
	a.running, a.status, a.reason, a.took = false, status, reason, now.Sub(a.began)
	x.plan.Hops[n-1].Deployment.End()
	return true
}

// lostBefore ends the attempts before n of which no answer was ever seen: they
// were refused, reset or timed out. Envoy has taken the next hop already.
func (x *exchange) lostBefore(n int, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil {
		return
	}
	x.madeLocked(n-1, now)
	for i := 1; i < n; i++ {
		if x.endLocked(i, 0, "no answer", now) {
			x.gateway.router.Report(&x.plan.Hops[i-1], routing.Failure{Reason: "no answer (refused, reset or timed out)"})
		}
	}
}

// madeLocked counts the attempts up to n that no filter has heard of: Envoy made
// them, and they were refused before anything reached us.
func (x *exchange) madeLocked(n int, now time.Time) {
	for len(x.attempts) < min(n, len(x.plan.Hops)) {
		x.attempts = append(x.attempts, attempt{began: now, running: true})
		x.plan.Hops[len(x.attempts)-1].Deployment.Begin()
	}
}

// hop returns hop n (1-based) of the plan.
func (x *exchange) hop(n int) (routing.Hop, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.plan == nil || n < 1 || n > len(x.plan.Hops) {
		return routing.Hop{}, false
	}
	return x.plan.Hops[n-1], true
}

// finish gives back everything the exchange holds and writes its record. It is
// the one place where a request ends; only the first call does anything.
func (x *exchange) finish(now time.Time) {
	x.mu.Lock()
	if x.finished {
		x.mu.Unlock()
		return
	}
	x.finished = true
	for n := range x.attempts {
		x.endLocked(n+1, x.outcome.status, "", now)
	}
	rec := x.recordLocked(now)
	x.mu.Unlock()
	x.gateway.owner.open.Add(-1)
	x.gateway.done(rec)
	if x.request != nil && len(x.request.Body.Source()) >= hugeBody {
		x.gateway.owner.giveBack()
	}
}

// names is the metadata by which the other filters find the exchange.
func (s *Server) names(x *exchange) metadata {
	fields := make(metadata, 0, 96).text("id", x.id)
	if s.replica != "" {
		fields = fields.text("replica", s.replica)
	}
	return make(metadata, 0, 512).object(metadataExchange, fields)
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
