package extproc

import (
	"cmp"
	"time"
)

// An answer begins with its first event that carries something of it
// (chat.Decoder.Started): servers send headers, comments and roles long before. Routing is
// told at once, of a blocking answer at its end. For a stream that Envoy carries past this
// service, Envoy's access log says at its end when its body began (logEntry.firstBody);
// until then its headers count as a good answer.

// begin looks whether the answer has begun with what was just read of it.
func (s *requestStream) begin() {
	r, x := s.response, s.exchange
	if r.begun || !r.decoder.Started() {
		return
	}
	r.begun = true
	now := time.Now()
	if x.request.Stream && r.form != unstreamed {
		x.outcome.began(now.Sub(x.started))
	}
	x.attempts.began(s.attempt, now)
}

// began tells routing that the good answer of attempt n has begun; the first call
// counts.
func (a *attempts) began(n int, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.attemptLocked(n); at.running {
		a.beganLocked(n, now.Sub(at.began))
	}
}

// relayed tells routing that the answer of attempt n is good as far as its headers say,
// and that it will not be read here.
func (a *attempts) relayed(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.attemptLocked(n).running {
		a.beganLocked(n, 0)
	}
}

func (a *attempts) beganLocked(n int, firstToken time.Duration) {
	if at := a.attemptLocked(n); !at.reported {
		at.reported = true
		a.router.Answered(&a.plan.Hops[n-1], firstToken)
	}
}

// firstTokenFromLog fills in when a relayed answer began, from Envoy's access log (nil: it
// has no entry), and tells routing; without an entry the answer's headers count.
func (x *exchange) firstTokenFromLog(o *outcome, entry *logEntry) {
	if entry != nil {
		o.firstToken = entry.firstBody
	}
	if after := cmp.Or(o.firstToken, o.firstByte); after > 0 {
		x.attempts.firstToken(x.started.Add(after))
	}
}

// firstToken tells routing, after close, when the answer of the last attempt began.
func (a *attempts) firstToken(when time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.made); n > 0 {
		a.router.FirstToken(&a.plan.Hops[n-1], max(when.Sub(a.made[n-1].began), time.Millisecond))
	}
}
