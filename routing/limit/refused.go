package limit

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	// Lacks names the limits of parallel requests that leave no slot: "deployment/ID",
	// "model/GROUP", "tenant" (the caller's own) or "gateway" (over all models). Each
	// comes once, and at most eight do. nil when no slot can help, or when it is not
	// known: the request may not overtake those in the queue, and was not tried.
	Lacks []string
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
	if len(reply.Lacks) > 0 {
		return tooManyRunning(model, reply.Wait, limitNames(reply.Lacks), g)
	}
	return &Refused{Wait: reply.Wait, Answer: answer("rate_limit_exceeded", "the limit of requests or tokens per minute of `"+model+
		"` is reached; try again in "+strconv.Itoa(wholeSeconds(reply.Wait))+" s", reply.Wait, g)}
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

// maxLacks bounds Refused.Lacks: what it says goes into a header and a log line.
const maxLacks = 8

// limitNames are the names of the limits that these slots belong to, as Refused.Lacks
// has them.
func limitNames(slots []string) []string {
	var names []string
	for _, key := range slots {
		if name := limitName(key); len(names) < maxLacks && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// limitName is the name of a slot's limit. The name of a caller is not in it.
func limitName(slot string) string {
	switch kind, rest, _ := strings.Cut(strings.TrimSuffix(slot, slotSuffix), "/"); kind + "/" {
	case deploymentKeys:
		return "deployment/" + rest
	case groupKeys:
		return "model/" + rest
	case callerKeys:
		return "tenant"
	}
	return "gateway"
}

// tooManyRunning is the refusal of a request that lacks only a slot. lacks is as in
// Refused.Lacks.
func tooManyRunning(model string, wait time.Duration, lacks []string, g *gauges) *Refused {
	return &Refused{Wait: wait, NeedsSlot: true, Lacks: lacks, Answer: answer("too_many_parallel_requests",
		"too many requests for `"+model+"` are running at the same time; try again in "+strconv.Itoa(wholeSeconds(wait))+" s", wait, g)}
}

// queueRefusal is the answer to a request that the queue did not take or keep.
func queueRefusal(model, why string, wait time.Duration) *Refused {
	return &Refused{Wait: wait, Answer: answer("too_many_parallel_requests", "too many requests for `"+model+"` are running and "+why+
		"; try again in "+strconv.Itoa(wholeSeconds(wait))+" s", wait, &gauges{})}
}
