package extproc

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestTheTokensThatARequestMayWriteAreCountedForEachChoice(t *testing.T) {
	for name, tc := range map[string]struct {
		members string
		want    int64
	}{
		"no limit":                         {`"n":2`, 0},
		"the larger of two limits":         {`"max_tokens":5,"max_completion_tokens":7`, 7},
		"one limit for each choice":        {`"max_tokens":5,"n":3`, 15},
		"more choices than providers let":  {`"max_tokens":5,"n":100000`, 640},
		"a limit that no product can hold": {`"max_tokens":9223372036854775807,"n":2`, math.MaxInt64 - 1},
		"what is no number":                {`"max_tokens":"5","n":"3"`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[],`+tc.members+`}`), "")
			if err != nil {
				t.Fatal(err)
			}
			if got := sizeOf(request).MaxOutput; got != tc.want {
				t.Errorf("MaxOutput = %d, want %d", got, tc.want)
			}
		})
	}
}

// limitedHouse is a house whose deployments a and b have these budgets; with a queue,
// requests wait in it.
func limitedHouse(t *testing.T, a, b limit.Budget, queue *limit.QueueOptions) *house {
	t.Helper()
	h := newHouse(t, twoSisters)
	h.limited(limit.Options{
		Queue: queue, MaxParallel: 100,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: a}, {ID: "b", Group: "m", Budget: b}},
	})
	return h
}

// limited puts these limits in force; their store is in memory.
func (h *house) limited(o limit.Options) *limit.Limiter {
	h.t.Helper()
	h.slotsIn = store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	h.t.Cleanup(func() { _ = h.slotsIn.Close() })
	o.Now, o.Guard = time.Now, h.guard
	if gate, ok := o.Store.(*gatedStore); ok {
		gate.Store = h.slotsIn
	} else {
		o.Store = h.slotsIn
	}
	l := limit.New(o)
	h.t.Cleanup(l.Close)
	h.runtime.Use(h.router, Settings{Limiter: l})
	return l
}

// slots is how many slots of all requests are held, as the store has it: the limiter
// asks once a second.
func (h *house) slots() int64 {
	h.t.Helper()
	peers, err := h.slotsIn.Beat(context.Background(), store.Beat{Slots: []string{"all/slots"}})
	if err != nil || len(peers.Held) != 1 {
		h.t.Fatalf("the store says %v, %v", peers.Held, err)
	}
	return peers.Held[0]
}

// holder begins a request that holds its slots until it is closed.
func (h *house) holder() *filterStream {
	h.t.Helper()
	f := h.open(names.FilterRequest)
	h.begin(f, question)
	return f
}

// end closes a request's stream; this many slots are held then.
func (h *house) end(f *filterStream, left int64) {
	h.t.Helper()
	if err := f.close(); err != nil {
		h.t.Errorf("the stream ended with %v", err)
	}
	if n := h.slots(); n != left {
		h.t.Errorf("%d slots are held, want %d", n, left)
	}
}

func TestADeploymentAtItsLimitsIsPassedOverAndStaysOutOfThePlan(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1}, nil)
	first, second := h.open(names.FilterRequest), h.open(names.FilterRequest)
	one, _ := h.begin(first, question)
	if plan := strings.Join(planOf(one), " "); !strings.HasPrefix(plan, "deployment/a/") {
		t.Errorf("the first plan is %s", plan)
	}
	two, _ := h.begin(second, question)
	if plan := strings.Join(planOf(two), " "); !strings.HasPrefix(plan, "deployment/b/") || strings.Contains(plan, "deployment/a/") {
		t.Errorf("the second plan is %s", plan)
	}
	third := h.open(names.FilterRequest)
	three, _ := h.begin(third, question)
	if code := three.GetImmediateResponse().GetStatus().GetCode(); code != 429 {
		t.Errorf("the third request, for which none is left, is answered by %T with %d", three.GetResponse(), code)
	}
	h.end(third, 2)
	h.end(second, 1)
	h.end(first, 0)
	h.nothingHeld()
}

func TestARequestThatWaitsInTheQueueIsAdmittedWhenASlotIsFree(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1}, &limit.QueueOptions{Poll: time.Millisecond})
	first, second := h.holder(), h.holder()
	waits := h.open(names.FilterRequest)
	waits.ask(requestHeaders(false, begun()...))
	waits.in <- requestBody(question)
	asynctest.Await(t, "the request waits", func() bool { return h.runtime.Current().limiter.Queued() == 1 })
	if err := second.close(); err != nil {
		t.Error(err)
	}
	if plan := strings.Join(planOf(waits.answer()), " "); !strings.HasPrefix(plan, "deployment/b/") {
		t.Errorf("the plan of the request that waited is %s", plan)
	}
	h.end(waits, 1)
	h.end(first, 0)
	h.nothingHeld()
	if log := h.log.String(); !strings.Contains(log, "ms_queued=") {
		t.Errorf("no line tells of the wait: %s", log)
	}
}

func TestAClientThatLeavesTheQueueHoldsNothing(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1}, &limit.QueueOptions{})
	first, second := h.holder(), h.holder()
	waits := h.open(names.FilterRequest)
	waits.ask(requestHeaders(false, begun()...))
	waits.in <- requestBody(question)
	asynctest.Await(t, "the request waits", func() bool { return h.runtime.Current().limiter.Queued() == 1 })
	waits.end()
	<-waits.err
	if n := h.runtime.Current().limiter.Queued(); n != 0 {
		t.Errorf("%d requests wait", n)
	}
	h.end(second, 1)
	h.end(first, 0)
	h.nothingHeld()
	if log := h.log.String(); !strings.Contains(log, "status=499") {
		t.Errorf("no line tells that the client left: %s", log)
	}
}

// TestTheNextAttemptIsReservedWhenOneFails, and what the failed one held is given back.
func TestTheNextAttemptIsReservedWhenOneFails(t *testing.T) {
	for name, tc := range map[string]struct {
		others int // requests that hold b
		retry  bool
	}{
		"the next deployment is below its limits": {0, true},
		"the next deployment is at its limits":    {1, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := limitedHouse(t, limit.Budget{MaxParallel: 2}, limit.Budget{MaxParallel: 1}, nil)
			f := h.open(names.FilterRequest)
			_, id := h.begin(f, question)
			x := h.exchanges.find(id)
			var other *filterStream
			if tc.others > 0 { // a is taken up, so that another request is on b
				h.holder()
				other = h.holder()
			}
			set, _ := changes(h.fail(id, 1, 500, `{"error":{"message":"broken"}}`).GetResponseBody().GetResponse().GetHeaderMutation())
			if retry := set["x-isthmus-retry"] != ""; retry != tc.retry {
				t.Errorf("a retry is asked for: %v, want %v", retry, tc.retry)
			}
			if _, attempt := x.reservation.load(); (attempt == 2) != tc.retry {
				t.Errorf("attempt %d holds the reservation", attempt)
			}
			if other != nil && !tc.retry {
				return
			}
			if again := h.retry(id, 2); again.GetRequestHeaders() == nil {
				t.Errorf("the retry is answered by %T", again.GetResponse())
			}
			h.end(f, 0)
			h.nothingHeld()
		})
	}
}

// gatedStore is a store of limits in which the move of a reservation to another attempt
// waits at a gate.
type gatedStore struct {
	limit.Store
	comes, opens chan struct{}
}

func (s *gatedStore) Acquire(ctx context.Context, q *store.Request) (store.Reply, error) {
	if len(q.Return.Slots) > 0 {
		s.comes <- struct{}{}
		<-s.opens
	}
	return s.Store.Acquire(ctx, q)
}

// TestTwoStreamsReserveOneAttemptOnce: Envoy has timed out an attempt whose answer the
// failure filter still judges, and the retry filter asks for the next one.
func TestTwoStreamsReserveOneAttemptOnce(t *testing.T) {
	for range 20 { // which comes first is left to chance
		h := newHouse(t, twoSisters)
		gate := &gatedStore{comes: make(chan struct{}), opens: make(chan struct{})}
		one := limit.Budget{MaxParallel: 1}
		h.limited(limit.Options{
			Store: gate, MaxParallel: 100, Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: one}, {ID: "b", Group: "m", Budget: one}},
		})
		f, failure, retry := h.open(names.FilterRequest), h.open(names.FilterFailure), h.open(names.FilterRetry)
		_, id := h.begin(f, question)
		x := h.exchanges.find(id)
		head := responseHead(1, true, ":status", "500")
		head.MetadataContext = named(id)
		failure.in <- head
		<-gate.comes
		next := requestHeaders(false, "x-envoy-attempt-count", "2")
		next.Attributes, next.MetadataContext = attrs(2), named(id)
		retry.in <- next
		gate.opens <- struct{}{}
		if answer := retry.answer(); answer.GetRequestHeaders() == nil {
			t.Fatalf("the retry is answered by %v", answer.GetImmediateResponse())
		}
		failure.answer()
		if a, attempt := x.reservation.load(); attempt != 2 || a.Chosen() != 0 || h.slots() != 1 {
			t.Errorf("attempt %d holds candidate %d, of %d slots", attempt, a.Chosen(), h.slots())
		}
		h.end(f, 0)
		h.nothingHeld()
	}
}

// TestAnAttemptThatEnvoyChoseIsStoppedAtItsLimits: the attempt before was refused, and
// no filter heard of it.
func TestAnAttemptThatEnvoyChoseIsStoppedAtItsLimits(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 2}, limit.Budget{MaxParallel: 1}, nil)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	h.holder()
	h.holder() // on b, for a is full
	answer := h.retry(id, 2).GetImmediateResponse()
	if answer.GetStatus().GetCode() != 429 || !strings.Contains(string(answer.GetBody()), "too_many_parallel_requests") {
		t.Errorf("the retry filter is answered by %v", answer)
	}
}

// TestTheReservationMovesWithTheFirstAttempt, when its provider turns out not to do
// what is asked.
func TestTheReservationMovesWithTheFirstAttempt(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 1}, limit.Budget{MaxParallel: 1}, nil)
	f := h.open(names.FilterRequest)
	answer, id := h.begin(f, question)
	if answer.GetRequestBody() == nil {
		t.Fatalf("the request is answered by %T", answer.GetResponse())
	}
	x := h.exchanges.find(id)
	plan := x.attempts.plan
	x.attempts.made, plan.Hops = nil, plan.Hops[1:] // the first attempt has not begun yet
	if err := x.reserveFirstAgain(plan); err != nil {
		t.Fatalf("nothing is left for the first attempt: %v", err)
	}
	a, attempt := x.reservation.load()
	if attempt != 1 || a.Chosen() != 0 || plan.Hops[0].Deployment.ID != "b" {
		t.Errorf("attempt %d holds candidate %d, the plan begins with %s", attempt, a.Chosen(), plan.Hops[0].Deployment.ID)
	}
	other, _ := h.begin(h.open(names.FilterRequest), question)
	if first := planOf(other); len(first) == 0 || !strings.HasPrefix(first[0], "deployment/a/") {
		t.Errorf("the slot of a is not free for another request: %v", first)
	}
}
