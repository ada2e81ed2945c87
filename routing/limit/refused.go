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
	// Queued: the queue is full, or the wait in it was over.
	Queued bool
	// Limits are those that are reached, each once and at most eight. With NeedsSlot they
	// are the limits of parallel requests that leave no slot. nil: not known.
	Limits []Reached
	// Everywhere: a limit of the caller's own or of all models is reached, so that no
	// other candidate helps.
	Everywhere bool

	model   string
	slots   []store.Slot // that are all that is missing, as in Limits, but all of them
	windows []windowInUse
	gauges  gauges
}

// Reached is a limit that is reached.
type Reached struct {
	// Of says whose it is: "deployment/ID", "model/GROUP", "tenant" (the caller's own,
	// never its name) or "gateway" (of all models together).
	Of      string
	Setting string // rpm, tpm, itpm, otpm or max_parallel_requests
	Value   int64
}

// String names the limit without its value: "deployment/ID rpm".
func (r Reached) String() string { return r.Of + " " + r.Setting }

func (r *Refused) Error() string { return r.Answer.Error() }

// Unwrap returns the answer for the client.
func (r *Refused) Unwrap() error { return r.Answer }

// Lacks names the limits that leave no slot, as Reached.Of does; nil when no slot can
// help, or when it is not known.
func (r *Refused) Lacks() []string { return limitNames(r.slots) }

// setAnswer makes the answer of a refusal by requests per minute or parallel requests.
func (r *Refused) setAnswer(more string) {
	code, what := "rate_limit_exceeded", "the limit of requests or tokens per minute of `"+r.model+"` is reached"
	switch {
	case r.NeedsSlot || r.Queued:
		code, what = "too_many_parallel_requests", "too many requests for `"+r.model+"` are running at the same time"
	case r.Everywhere:
		what = "your limit of requests or tokens per minute is reached"
	}
	what += ReachedText(r.Limits) + more
	r.Answer = answer(code, what+"; try again in "+strconv.Itoa(wholeSeconds(r.Wait))+" s", r.Wait, &r.gauges)
}

// ReachedText is the part of an error message that names the limits: " (rpm 500 of
// deployment/ID, …)"; "" without any.
func ReachedText(limits []Reached) string {
	if len(limits) == 0 {
		return ""
	}
	each := make([]string, len(limits))
	for i, l := range limits {
		each[i] = l.Setting + " " + strconv.FormatInt(l.Value, 10) + " of " + l.Of
	}
	return " (" + strings.Join(each, ", ") + ")"
}

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
	return upstream.WholeSeconds(min(wait, store.MaxWait))
}

// refusedBy is the refusal that a store's reply to this question stands for.
func refusedBy(model string, shared *draft, o *candidateSet, reply *store.Reply, g *gauges) *Refused {
	r := &Refused{model: model, Wait: reply.Wait, gauges: *g}
	var full []Reached
	r.windows, full, r.Everywhere = fullWindows(shared, o, reply)
	r.slots = lackedSlots(shared, o, reply.Lacks)
	if r.NeedsSlot = len(r.slots) > 0; r.NeedsSlot {
		r.Limits = reachedSlots(r.slots)
		r.Everywhere = slices.ContainsFunc(shared.slots, func(s store.Slot) bool { return s.Key == reply.Lacks[0] })
	} else {
		r.Limits = full
	}
	r.setAnswer("")
	return r
}

// tooManyRunning is the refusal of a request that lacks only these slots.
func tooManyRunning(model string, slots []store.Slot, wait time.Duration) *Refused {
	r := &Refused{model: model, Wait: wait, NeedsSlot: true, slots: slots, Limits: reachedSlots(slots)}
	r.setAnswer("")
	return r
}

// with is the refusal of a request by some of its candidates and then by others; nil
// refuses nothing.
func (r *Refused) with(next *Refused) *Refused {
	switch {
	case r == nil:
		return next
	case next == nil:
		return r
	case next.sooner(r):
		r, next = next, r
	}
	if r.NeedsSlot != next.NeedsSlot {
		return r
	}
	r.slots = append(r.slots, next.slots...)
	for _, l := range next.Limits {
		r.Limits = appendReached(r.Limits, l)
	}
	if r.Wait > 0 { // what is too large has its own answer
		r.setAnswer("")
	}
	return r
}

// sooner reports whether r may end before other. A slot may be free at any moment; a
// refusal with a Wait of 0 never ends.
func (r *Refused) sooner(other *Refused) bool {
	if r.NeedsSlot != other.NeedsSlot {
		return r.NeedsSlot
	}
	return r.Wait > 0 && (other.Wait == 0 || r.Wait < other.Wait)
}

// tooLarge is the refusal of a request that no candidate's limit can hold.
func tooLarge(model string, input int64, limits []Reached) *Refused {
	return &Refused{model: model, Limits: limits, Answer: answer("rate_limit_exceeded", "the request is too large for `"+model+
		"`: its input is about "+strconv.FormatInt(input, 10)+" tokens, more than the limit per minute"+ReachedText(limits), 0, &gauges{})}
}

// leftQueue is the answer to a request that the queue did not take or keep. why is
// appended to the message.
func leftQueue(model string, slots []store.Slot, why string, wait time.Duration) *Refused {
	r := &Refused{model: model, Wait: wait, Queued: true, slots: slots, Limits: reachedSlots(slots)}
	r.setAnswer(why)
	return r
}

// maxLimits bounds Refused.Limits: what it says goes into a header and a log line.
const maxLimits = 8

func appendReached(all []Reached, l Reached) []Reached {
	if len(all) >= maxLimits || slices.Contains(all, l) {
		return all
	}
	return append(all, l)
}

// reachedSlots are the limits that these slots belong to.
func reachedSlots(slots []store.Slot) (all []Reached) {
	for _, s := range slots {
		all = appendReached(all, Reached{limitName(s.Key, slotSuffix), "max_parallel_requests", s.Limit})
	}
	return all
}

// limitNames are the names of the limits that these slots belong to, each once and at
// most eight.
func limitNames(slots []store.Slot) []string {
	var names []string
	for _, l := range reachedSlots(slots) {
		if !slices.Contains(names, l.Of) {
			names = append(names, l.Of)
		}
	}
	return names
}

// limitName is whose limit a key belongs to. The name of a caller is not in it.
func limitName(key, suffix string) string {
	switch kind, rest, _ := strings.Cut(strings.TrimSuffix(key, suffix), "/"); kind + "/" {
	case deploymentKeys:
		return "deployment/" + rest
	case groupKeys:
		return "model/" + rest
	case callerKeys:
		return "tenant"
	}
	return "gateway"
}

// lackedSlots are the slots with these keys.
func lackedSlots(shared *draft, o *candidateSet, keys []string) (all []store.Slot) {
	for _, key := range keys {
		is := func(s store.Slot) bool { return s.Key == key }
		if slices.ContainsFunc(all, is) {
			continue
		}
		if i := slices.IndexFunc(shared.slots, is); i >= 0 {
			all = append(all, shared.slots[i])
			continue
		}
		for j := range o.each {
			if i := slices.IndexFunc(o.each[j].slots, is); i >= 0 {
				all = append(all, o.each[j].slots[i])
				break
			}
		}
	}
	return all
}

// fullWindows are the windows that a reply says have no room, and the limits that they
// belong to. caller: one of them is needed whichever candidate is taken.
func fullWindows(shared *draft, o *candidateSet, reply *store.Reply) (full []windowInUse, limits []Reached, caller bool) {
	rest := reply.Usage
	note := func(d *draft) (found bool) {
		for i := range min(len(d.charges), len(rest)) {
			if c := &d.charges[i]; rest[i].Wait > 0 {
				found = true
				full = append(full, windowInUse{c.key, c.limit - min(c.cost, c.limit)})
				limits = appendReached(limits, Reached{limitName(c.key, c.metric.suffix()), c.metric.suffix()[1:], c.limit})
			}
		}
		rest = rest[min(len(d.charges), len(rest)):]
		return found
	}
	caller = note(shared)
	for i := range o.each {
		note(&o.each[i].draft)
	}
	return full, limits, caller
}
