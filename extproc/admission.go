package extproc

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// maxReplans is how often a plan is made again because the limits of all its
// deployments turned out to be reached.
const maxReplans = 3

// admit reserves what the first attempt of the plan needs of the limits, on the first
// of the deployments that may serve it that are below theirs: that one becomes the
// first of the plan. When only a slot is missing and there is a queue, it waits there.
// The error is an *upstream.Error, a *limit.Refused or the context's.
func (s *requestStream) admit(plan *routing.Plan, call *routing.Call) error {
	x := s.exchange
	l := x.snapshot.limiter
	if l == nil {
		return nil
	}
	ask := &limit.Ask{ID: x.id, Model: x.request.Model, Caller: x.caller}
	if l.CountsTokens() {
		ask.Size = sizeOf(x.request)
	}
	for replans := 0; ; replans++ {
		choices, ids := x.snapshot.choices(plan)
		ask.Candidates = ids
		admission, err := l.Admit(s.ctx, ask)
		refused, isRefused := errors.AsType[*limit.Refused](err)
		if isRefused && refused.NeedsSlot && l.Queues() {
			admission, choices, err = s.queue(ask, plan, call, choices, refused)
			refused, isRefused = errors.AsType[*limit.Refused](err)
		}
		if err == nil {
			x.reservation.hold(admission)
			return s.putFirst(plan, choices, ask.Candidates[admission.Chosen()])
		}
		if !isRefused || refused.NeedsSlot || refused.Everywhere || refused.Queued || replans == maxReplans {
			return err
		}
		// Others were quicker. Routing knows now which deployments are at their
		// limits, and may find one that was not among the choices.
		if x.snapshot.router.Replan(plan, call) != nil {
			return err // the limit's refusal, which says when to come again
		}
	}
}

// choices are the deployments that may serve the first attempt of a plan, and what the
// limits call them. No choices mean the first of the plan alone: it is limited by nothing.
func (g *Snapshot) choices(plan *routing.Plan) (choices []routing.Choice, ids []string) {
	if first := candidate(g.limiter, plan.Hops[0].Choice()); !g.limiter.Limits(first) {
		return nil, []string{first}
	}
	choices = g.router.Choices(plan, 0)
	return choices, candidates(g.limiter, choices)
}

// putFirst makes the choice that was admitted, as the limits call it, the first of the
// plan. No choices are as in Snapshot.choices.
func (s *requestStream) putFirst(plan *routing.Plan, choices []routing.Choice, admitted string) error {
	if len(choices) == 0 {
		return nil
	}
	g := s.exchange.snapshot
	i := slices.IndexFunc(choices, func(c routing.Choice) bool { return candidate(g.limiter, c) == admitted })
	if err := g.router.Take(plan, 0, choices[i]); err != nil {
		return err
	}
	if s.encoding == planAggregate {
		once(plan)
	}
	return nil
}

// candidates are choices as the limits know them.
func candidates(l *limit.Limiter, choices []routing.Choice) []string {
	ids := make([]string, len(choices))
	for i, c := range choices {
		ids[i] = candidate(l, c)
	}
	return ids
}

func candidate(l *limit.Limiter, c routing.Choice) string {
	return l.Candidate(c.Deployment.ID, c.Group)
}

// queue waits for a slot: until the client leaves, Envoy's message timeout is over or
// the request's deadline comes. refused is why. Its candidates are looked up anew while it
// waits: one may cool down or come back. known are the choices that the admitted candidate
// is among.
func (s *requestStream) queue(
	ask *limit.Ask, plan *routing.Plan, call *routing.Call, choices []routing.Choice, refused *limit.Refused,
) (admission *limit.Admission, known []routing.Choice, err error) {
	x := s.exchange
	l := x.snapshot.limiter
	x.steps.queued(refused.Lacks())
	ctx, stop := s.extendMessageTimeout()
	defer stop()
	began := time.Now()
	until, _ := ctx.Deadline()
	if known = choices; known == nil {
		known = []routing.Choice{x.snapshot.router.Planned(plan, 0)}
	}
	router := x.snapshot.router
	usable := func(choices []routing.Choice) func(int) bool {
		return func(i int) bool { return router.Usable(choices[i]) }
	}
	ask.Usable = usable(known)
	ticket := limit.Ticket{Bytes: int64(len(x.request.Body.Source())), Deadline: plan.Deadline, Until: until, Refused: refused}
	ticket.Renew = func(ask *limit.Ask) error {
		if err := router.Replan(plan, call); err != nil {
			return err
		}
		var next []routing.Choice
		if next, ask.Candidates = x.snapshot.choices(plan); next == nil {
			next = []routing.Choice{router.Planned(plan, 0)}
		}
		ask.Usable = usable(next)
		known = append(slices.Clip(next), known...) // those before may be admitted still
		return nil
	}
	admission, waitedFor, err := l.AdmitQueued(s.ctx, ask, ticket)
	x.queued, x.queuedFor = x.queued+time.Since(began), strings.Join(waitedFor, ", ")
	return admission, known, err
}

// reservation is what a request holds in the limits. It is safe for concurrent use; the
// zero value holds nothing, as where nothing is limited.
type reservation struct {
	// moving is held while it moves to another attempt, which may take storeTime.
	moving    sync.Mutex
	mu        sync.Mutex
	admission *limit.Admission // nil: nothing is limited
	limitedBy string           // the limits that have refused the request: limit.Reached.String, joined by ", "
	attempt   int              // that holds it; 0: none
}

// hold notes what was admitted for attempt 1.
func (r *reservation) hold(a *limit.Admission) { r.set(a, 1) }

func (r *reservation) set(a *limit.Admission, attempt int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.admission, r.attempt = a, attempt
}

// load returns the admission, or nil, and the attempt that holds it.
func (r *reservation) load() (a *limit.Admission, attempt int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.admission, r.attempt
}

// noteRefusal notes the limits that err, the error that the client gets, names.
func (r *reservation) noteRefusal(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limitedBy = limitedBy(err)
}

// limits names the limits that have refused the request; "": none did, or they are not
// known.
func (r *reservation) limits() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limitedBy
}

// release gives back the slots at once; the rest stays until close.
func (r *reservation) release() {
	if a, _ := r.load(); a != nil {
		a.Release()
	}
}

// close gives back all that is held. The tokens of an answer that reported none, and
// was not counted, stay estimated.
func (r *reservation) close(o *outcome, made *attempts) {
	a, attempt := r.load()
	if a == nil {
		return
	}
	// That need not be the last attempt: those that Envoy made and no filter saw were
	// refused, and held nothing.
	end := made.spent(attempt)
	if o.served != nil {
		end = limit.Outcome{Reached: true, Known: o.result.HasUsage, Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
	}
	a.Close(end)
}

// rateLimits are the x-ratelimit fields of a request that limits of ours hold. A client
// reads limit, remaining and reset together, so they replace all that the provider
// says. nil means that no limit of ours applies and that the provider's are kept.
func (r *reservation) rateLimits() upstream.Header {
	if a, _ := r.load(); a != nil {
		return a.Header()
	}
	return nil
}

// reserveNext reserves for attempt n, on the first of the deployments that may serve it
// that is below its limits, and gives back what the attempt before held. The plan
// passes over what stands before that one. The error says that there is none; for an
// attempt that holds its reservation, and without limits, it does nothing.
func (x *exchange) reserveNext(n int) error {
	if a, _ := x.reservation.load(); a == nil {
		return nil
	}
	return x.reserve(n, x.attempts.choices(n-1))
}

// reserve is reserveNext for these choices alone. Two streams may ask for one attempt:
// Envoy may time out an attempt while the failure filter still judges its answer, and
// the retry filter's stream for the next one comes then. The first has it.
func (x *exchange) reserve(n int, choices []routing.Choice) error {
	if a, _ := x.reservation.load(); a == nil {
		return nil
	}
	x.reservation.moving.Lock()
	defer x.reservation.moving.Unlock()
	a, attempt := x.reservation.load()
	if _, ok := x.attempts.hop(n); !ok || attempt >= n {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	chosen, err := a.Next(ctx, candidates(x.snapshot.limiter, choices), x.attempts.spent(attempt))
	if err != nil {
		return err
	}
	x.reservation.set(a, n)
	if !x.attempts.take(n, choices[chosen]) {
		return errNotTaken
	}
	return nil
}

// errNotTaken: the plan has no place for the deployment that has room.
var errNotTaken = errors.New("reserve for the next attempt: the plan has changed")

// moveReservation moves what attempt n holds to the deployment that an Envoy with a fixed
// plan has chosen for it: it has passed over the planned one, which was never asked and
// is given back all. The error says that there is no room; for an attempt that holds
// nothing it does nothing.
func (x *exchange) moveReservation(n int, to routing.Choice) error {
	x.reservation.moving.Lock()
	defer x.reservation.moving.Unlock()
	a, attempt := x.reservation.load()
	if a == nil || attempt != n {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	_, err := a.Next(ctx, candidates(x.snapshot.limiter, []routing.Choice{to}), limit.Outcome{})
	return err
}

// reserveFirstAgain moves the reservation of attempt 1 to the deployments that are left
// in the plan, when the first cannot do what the request asks.
func (x *exchange) reserveFirstAgain(plan *routing.Plan) error {
	a, _ := x.reservation.load()
	x.reservation.set(a, 0)
	left := make([]routing.Choice, len(plan.Hops))
	for i := range plan.Hops {
		left[i] = plan.Hops[i].Choice()
	}
	return x.reserve(1, left)
}

// storeTime bounds a question to the store of limits, whose own bound is lower.
const storeTime = time.Second

// limitReached stops a cascade at a deployment whose limits are reached, as err says:
// Envoy has chosen it already, so that no other can be taken.
func limitReached(err error) *upstream.Error {
	if refused, ok := errors.AsType[*limit.Refused](err); ok {
		return refused.Answer
	}
	return &upstream.Error{
		Status: http.StatusTooManyRequests, Type: upstream.TypeOf(http.StatusTooManyRequests), Code: "rate_limit_exceeded",
		Message: "the limits of the deployment that would be next are reached", Header: upstream.Header{{Name: "retry-after", Value: "1"}},
	}
}

// sizeOf is what is known of a request's size before it is sent.
func sizeOf(req *chat.Request) limit.Size {
	text, media := req.TextSize()
	size := limit.Size{Text: text, Media: media}
	n := int64(1)
	for _, m := range req.Body.Members() {
		var value int64
		switch m.Name {
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			if json.Unmarshal(req.Body.Value(m), &value) == nil {
				size.MaxOutput = max(size.MaxOutput, value)
			}
		case "n":
			if json.Unmarshal(req.Body.Value(m), &value) == nil && value > 1 {
				n = min(value, 128)
			}
		}
	}
	size.MaxOutput = min(size.MaxOutput, math.MaxInt64/n) * n
	return size
}

// limitedBy names the limits that have refused a request; "" when none did.
func limitedBy(err error) string {
	refused, ok := errors.AsType[*limit.Refused](err)
	if !ok {
		return ""
	}
	names := make([]string, len(refused.Limits))
	for i, l := range refused.Limits {
		names[i] = l.String()
	}
	return strings.Join(names, ", ")
}

// limitError is the error that the client gets for a request that was not admitted.
func limitError(err error) *upstream.Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return clientGone()
	}
	return asError(err)
}
