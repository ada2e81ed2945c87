package limit

import (
	"net/http"
	"strconv"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Refused is the error of a request for which there is no room. It unwraps to
// the *upstream.Error for the client.
type Refused struct {
	Answer *upstream.Error
	// Wait is the soonest moment at which there may be room, at most 61 s. 0:
	// there never is; the request is larger than a limit.
	Wait time.Duration
	// NeedsSlot: a slot is all that is missing, so that AdmitQueued makes sense.
	NeedsSlot bool
	// Everywhere: the caller's own limit is reached, so that no other candidate
	// helps.
	Everywhere bool
}

func (r *Refused) Error() string { return r.Answer.Error() }

// Unwrap returns the answer for the client.
func (r *Refused) Unwrap() error { return r.Answer }

// answer is the 429 that all refusals are. wait is rounded up to whole seconds.
func answer(code, message string, wait time.Duration, g *gauges) *upstream.Error {
	e := &upstream.Error{Status: http.StatusTooManyRequests, Type: upstream.TypeOf(http.StatusTooManyRequests), Code: code, Message: message}
	if wait > 0 {
		e.Header = append(e.Header, upstream.Field{Name: "retry-after", Value: strconv.Itoa(wholeSeconds(wait))})
	} else {
		e.Header = append(e.Header, upstream.Field{Name: "x-should-retry", Value: "false"})
	}
	e.Header = g.appendTo(e.Header)
	return e
}

func wholeSeconds(wait time.Duration) int {
	return int((min(max(wait, time.Second), store.MaxWait) + time.Second - 1) / time.Second)
}

// refusedBy is the refusal that a store's reply stands for.
func refusedBy(model string, reply *store.Reply, g *gauges) *Refused {
	r := &Refused{Wait: reply.Wait, NeedsSlot: reply.NeedsSlot}
	after := "; try again in " + strconv.Itoa(wholeSeconds(reply.Wait)) + " s"
	if r.NeedsSlot {
		r.Answer = answer("too_many_parallel_requests", "too many requests for `"+model+"` are running at the same time"+after, r.Wait, g)
		return r
	}
	r.Answer = answer("rate_limit_exceeded", "the limit of requests or tokens per minute of `"+model+"` is reached"+after, r.Wait, g)
	return r
}

// refusedToCaller is the refusal by a limit of the caller's own.
func refusedToCaller(wait time.Duration, g *gauges) *Refused {
	return &Refused{Wait: wait, Everywhere: true, Answer: answer("rate_limit_exceeded",
		"your limit of requests or tokens per minute is reached; try again in "+strconv.Itoa(wholeSeconds(wait))+" s", wait, g)}
}

// tooLarge is the refusal of a request that no candidate's limit can hold.
func tooLarge(model string, input int64) *Refused {
	return &Refused{Answer: answer("rate_limit_exceeded", "the request is too large for `"+model+"`: its input is about "+
		strconv.FormatInt(input, 10)+" tokens, more than the limit per minute", 0, &gauges{})}
}

// behind is the refusal of a request that must not overtake those that wait.
func behind(model string, wait time.Duration) *Refused {
	return refusedBy(model, &store.Reply{Wait: wait, NeedsSlot: true}, &gauges{})
}

// queueRefusal is the answer to a request that the queue did not take or keep.
func queueRefusal(model, why string, wait time.Duration) *Refused {
	return &Refused{Wait: wait, Answer: answer("too_many_parallel_requests", "too many requests for `"+model+"` are running and "+why+
		"; try again in "+strconv.Itoa(wholeSeconds(wait))+" s", wait, &gauges{})}
}
