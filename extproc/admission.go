package extproc

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
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

// atOnce is how many deployments the store is asked about in one question.
const atOnce = 8

// admit takes room in the limits for the first attempt of the plan, on the first
// of the deployments that may serve it that has some: that one becomes the first of
// the plan. When only a slot is missing and there is a queue, it waits there.
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
		var choices []routing.Choice
		if first := candidate(l, plan.Hops[0].Choice()); l.Limits(first) {
			choices = x.snapshot.router.Choices(plan, 0)
			ask.Candidates = candidates(l, choices)
		} else {
			ask.Candidates = []string{first}
		}
		admission, chosen, err := s.room(ask, plan.Deadline)
		if err == nil {
			x.mu.Lock()
			x.admission, x.secured = admission, 1
			x.mu.Unlock()
			return s.take(plan, choices, chosen)
		}
		var refused *limit.Refused
		if !errors.As(err, &refused) || refused.NeedsSlot || refused.Everywhere || replans == maxReplans {
			return err
		}
		// Others were quicker. Routing knows now who is full, and may find a
		// deployment that was not among the choices.
		if again := x.snapshot.router.Replan(plan, call); again != nil {
			return err
		}
	}
}

// take makes the choice that has room the first of the plan.
func (s *requestStream) take(plan *routing.Plan, choices []routing.Choice, chosen int) error {
	if len(choices) == 0 {
		return nil // the first of the plan is limited by nothing
	}
	if err := s.exchange.snapshot.router.Take(plan, 0, choices[chosen]); err != nil {
		return err
	}
	if s.encoding == planAggregate {
		once(plan)
	}
	return nil
}

// room asks for room on the candidates, some at a time, and then in the queue. It
// returns the index of the one that has it.
func (s *requestStream) room(ask *limit.Ask, latest time.Time) (admission *limit.Admission, chosen int, err error) {
	l, all := s.exchange.snapshot.limiter, ask.Candidates
	var refused *limit.Refused // the one with the best prospect
	for from := 0; from < len(all); from += atOnce {
		ask.Candidates = all[from:min(from+atOnce, len(all))]
		admission, err = l.Admit(s.ctx, ask)
		if err == nil {
			return admission, from + admission.Chosen(), nil
		}
		var r *limit.Refused
		if !errors.As(err, &r) || r.Everywhere {
			return nil, 0, err
		}
		if refused == nil || sooner(r, refused) {
			refused = r
		}
	}
	ask.Candidates = all
	if !refused.NeedsSlot || !l.Queues() {
		return nil, 0, refused
	}
	s.exchange.steps.queued(refused.Lacks)
	if admission, err = s.queue(ask, latest, refused.Lacks); err != nil {
		return nil, 0, err
	}
	return admission, admission.Chosen(), nil
}

// sooner reports whether the first refusal promises more than the second. A slot
// may be free at any moment; one without a wait is for ever.
func sooner(a, b *limit.Refused) bool {
	if a.NeedsSlot != b.NeedsSlot {
		return a.NeedsSlot
	}
	return a.Wait > 0 && (b.Wait == 0 || a.Wait < b.Wait)
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

// queue waits for a slot: as long as the client does, Envoy can be held, and the
// request has time. lacks is what the request lacked before it came here: what it
// waited for if it was refused before the queue has looked.
func (s *requestStream) queue(ask *limit.Ask, latest time.Time, lacks []string) (*limit.Admission, error) {
	x := s.exchange
	ctx, stop := s.extendMessageTimeout()
	defer stop()
	began := time.Now()
	deadline, _ := ctx.Deadline()
	if !latest.IsZero() && latest.Before(deadline) {
		deadline = latest
	}
	ticket := limit.Ticket{Bytes: int64(len(x.request.Body.Source())), Deadline: deadline}
	admission, waitedFor, err := x.snapshot.limiter.AdmitQueued(s.ctx, ask, ticket)
	if err != nil && waitedFor == nil {
		waitedFor = lacks
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queued, x.queuedFor = time.Since(began), strings.Join(waitedFor, ", ")
	return admission, err
}

// choices are the deployments that may serve what comes after attempt n; none
// without limits.
func (x *exchange) choices(n int) []routing.Choice {
	if x.snapshot.limiter == nil {
		return nil
	}
	return x.attempts.choices(n)
}

// secure takes room for attempt n, on the first of these deployments that has some,
// and gives back that of the attempt before. What stands before that one in the plan
// is taken out. It reports whether there is one; for an attempt that has its room it
// does nothing.
func (x *exchange) secure(n int, choices []routing.Choice) bool {
	a, failed := x.toSecure(n)
	if a == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	chosen, err := a.Next(ctx, candidates(x.snapshot.limiter, choices), failed)
	if err != nil {
		return false
	}
	x.mu.Lock()
	x.secured = n
	x.mu.Unlock()
	return x.attempts.take(n, choices[chosen])
}

// toSecure is what attempt n must have room of, and what the attempt before has
// cost; nil when it has its room, or needs none.
func (x *exchange) toSecure(n int) (*limit.Admission, limit.Outcome) {
	x.mu.Lock()
	admission, secured := x.admission, x.secured
	x.mu.Unlock()
	if _, ok := x.attempts.hop(n); !ok || admission == nil || secured >= n {
		return nil, limit.Outcome{}
	}
	return admission, x.attempts.spent(secured)
}

// secureInstead moves the room of attempt 1 to the deployments that are left, when
// the first turned out not to do what the request asks.
func (x *exchange) secureInstead(plan *routing.Plan) bool {
	x.mu.Lock()
	x.secured = 0
	x.mu.Unlock()
	left := make([]routing.Choice, len(plan.Hops))
	for i := range plan.Hops {
		left[i] = plan.Hops[i].Choice()
	}
	return x.secure(1, left)
}

// storeTime bounds a question to the store of limits, whose own bound is lower.
const storeTime = time.Second

// rateLimits are the x-ratelimit fields of a request that limits of ours hold. A
// client reads limit, remaining and reset together, so that they take the place of
// all that the provider says; none: its own may stand.
func (x *exchange) rateLimits() upstream.Header {
	x.mu.Lock()
	a := x.admission
	x.mu.Unlock()
	if a == nil {
		return nil
	}
	return a.Header()
}

// noRoom stops a cascade at a deployment whose limits are reached: Envoy has
// chosen it already, so that no other can be taken.
func noRoom() *upstream.Error {
	return &upstream.Error{
		Status: http.StatusTooManyRequests, Type: upstream.TypeOf(http.StatusTooManyRequests), Code: "rate_limit_exceeded",
		Message: "the limits of the deployment that would be next are reached", Header: upstream.Header{{Name: "retry-after", Value: "1"}},
	}
}

// leave gives back the room that the exchange held. The tokens of an answer that
// reported none, and was not counted, stay estimated.
func (x *exchange) leave(o *outcome) {
	if x.admission == nil {
		return
	}
	end := x.spent()
	if o.served != nil {
		end = limit.Outcome{Reached: true, Known: o.result.HasUsage, Prompt: o.result.Usage.Prompt, Completion: o.result.Usage.Completion}
	}
	x.admission.Close(end)
}

// spent is what the attempt that has the room has cost, if it got no good answer.
// That need not be the last one: those that Envoy made and nobody saw were refused,
// and had none.
func (x *exchange) spent() limit.Outcome {
	x.mu.Lock()
	secured := x.secured
	x.mu.Unlock()
	return x.attempts.spent(secured)
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

// limitError is what the client is told when there is no room.
func limitError(err error) *upstream.Error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return clientGone()
	}
	return asError(err)
}
