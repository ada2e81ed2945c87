package limit

import (
	"context"
	"errors"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// Store keeps the windows and slots. *store.Shared is one.
type Store interface {
	// Acquire charges the first candidate that has room, or nothing.
	Acquire(context.Context, *store.Request) (store.Reply, error)
	// Settle corrects charges and gives slots back. It does not wait.
	Settle(store.Settlement)
	// Beat tells the other replicas what runs here, and what is known of them.
	Beat(context.Context, store.Beat) (store.Peers, error)
}

// Deployment is a deployment and its limits.
type Deployment struct {
	ID     string
	Group  string // its model group
	Budget Budget
	// Names are those that it serves as a wildcard and that are Groups of their
	// own: requests for them count there instead of in Group.
	Names []string
}

// Options are what a Limiter needs.
type Options struct {
	Store Store            // required
	Now   func() time.Time // required

	Deployments []Deployment
	Groups      map[string]Budget // of a model group's deployments together
	Caller      Budget            // of each caller
	MaxParallel int64             // requests at the same time, over all models; 0: no limit
	Queue       *QueueOptions     // nil: a request that finds no slot is refused at once

	Guard *guard.Guard

	// Previous is the Limiter that this one replaces; nil: none. What it knows of
	// deployments that stay is shared, running requests included.
	Previous *Limiter
}

// Limiter admits requests. It is safe for concurrent use. A Limiter lives as
// long as one configuration; several may share a store, as they do while a new
// configuration replaces an old one.
type Limiter struct {
	store  Store
	now    func() time.Time
	guard  *guard.Guard
	byID   map[string]*deployment
	all    []*deployment
	caller Budget
	global keyedBudget
	queue  *Queue
	counts bool // some limit is of tokens
	usage  *usageTracker

	named map[string]bool // the Names of all deployments

	watch []watched
	stop  context.CancelFunc
	done  chan struct{}
}

// deployment is what the Limiter knows of one.
type deployment struct {
	id       string
	own      keyedBudget
	group    *keyedBudget // nil: its group has no limits
	limited  bool
	estimate *estimator
	load     *load
}

// New makes a Limiter and starts its heartbeat. End it with Close.
func New(o Options) *Limiter {
	ctx, stop := context.WithCancel(context.Background())
	l := &Limiter{
		store: o.Store, now: o.Now, guard: o.Guard, byID: make(map[string]*deployment, len(o.Deployments)), caller: o.Caller,
		global: newKeyedBudget("all", Budget{MaxParallel: o.MaxParallel}), stop: stop, done: make(chan struct{}),
		named: map[string]bool{},
	}
	if o.Queue != nil {
		l.queue = NewQueue(*o.Queue)
		l.queue.guard = o.Guard
	}
	groups := make(map[string]*keyedBudget, len(o.Groups))
	for name, b := range o.Groups {
		m := newKeyedBudget(groupKeys+name, b)
		groups[name] = &m
	}
	for _, d := range o.Deployments {
		known := &deployment{id: d.ID, own: newKeyedBudget(deploymentKeys+d.ID, d.Budget), group: groups[d.Group], estimate: &estimator{},
			load: &load{}}
		if o.Previous != nil && o.Previous.byID[d.ID] != nil {
			known.estimate, known.load = o.Previous.byID[d.ID].estimate, o.Previous.byID[d.ID].load
		}
		known.limited = known.own.limited() || known.group != nil && known.group.limited()
		l.byID[d.ID] = known
		l.all = append(l.all, known)
		for _, name := range d.Names {
			as := *known
			as.group = groups[name]
			as.limited = as.own.limited() || as.group != nil && as.group.limited()
			l.byID[candidateAs(d.ID, name)] = &as
			l.named[name] = true
		}
	}
	l.counts = o.countsTokens()
	l.usage = newUsageTracker(o.Now, l.global, groups)
	l.watch = l.watchList()
	o.Guard.Go("the beat of the limits", func() { l.run(ctx) })
	return l
}

// Close ends the heartbeat. Admissions may still be closed afterwards.
func (l *Limiter) Close() {
	l.stop()
	<-l.done
}

// Ask is a request that wants to be sent.
type Ask struct {
	ID         string   // unique among running requests
	Model      string   // the name asked for, for messages and the queue
	Caller     string   // whose limits it counts in; "": no caller's
	Candidates []string // IDs of deployments, or what Candidate made of them, in the order of the strategy; at least one
	Size       Size
}

// Admit reserves the first candidate that has room. The error is a *Refused, or ctx's
// when that is over. While requests wait in the queue, one that needs a slot does not
// overtake them: it is refused without being tried, with NeedsSlot.
func (l *Limiter) Admit(ctx context.Context, ask *Ask) (*Admission, error) {
	if l.queue != nil && l.queue.Len() > 0 && l.needsSlots(ask) {
		return nil, tooManyRunning(ask.Model, l.queue.suggestedWait(), l.queue.lacking(l.queueClass(ask)), &gauges{})
	}
	return l.reserve(ctx, ask)
}

// Ticket is a place in the queue.
type Ticket struct {
	Bytes    int64     // of memory that the request takes while it waits
	Deadline time.Time // of the request itself; zero: none. The queue's own holds too
	Lacked   []string  // by the refusal of Admit: its Refused.Lacks
}

// AdmitQueued waits in the queue until there is room, and reserves it. The place is held
// only while ctx lives. The error is a *Refused or that of ctx. waitedFor says whatever
// the end which limits were waited for last, as Refused.Lacks does; nil: that is not known,
// for the first look ended the wait.
func (l *Limiter) AdmitQueued(ctx context.Context, ask *Ask, t Ticket) (a *Admission, waitedFor []string, err error) {
	if l.queue == nil {
		a, err = l.reserve(ctx, ask)
		return a, nil, err
	}
	place := Place{Caller: ask.Caller, Class: l.queueClass(ask), Bytes: t.Bytes, Deadline: t.Deadline, Lacked: t.Lacked}
	waitedFor, err = l.queue.Wait(ctx, place, func(ctx context.Context) ([]string, error) {
		admission, err := l.reserve(ctx, ask)
		if refused, ok := errors.AsType[*Refused](err); ok && refused.NeedsSlot {
			return refused.Lacks, nil
		}
		a = admission
		return nil, err
	})
	switch {
	case errors.Is(err, ErrQueueFull):
		err = queueRefusal(ask.Model, "the queue is full", l.queue.suggestedWait())
	case errors.Is(err, ErrQueueLate):
		err = queueRefusal(ask.Model, "none ended in time", l.queue.suggestedWait())
	}
	return a, waitedFor, err
}

// queueClass stands for the slots that a request lacks: the name of its model, and its
// caller where callers have slots of their own. It is coarser than that: of requests for
// one model whose candidates differ (by tags, fallbacks, endpoint or size) one may wait
// behind another that lacks a slot which it does not need itself.
func (l *Limiter) queueClass(ask *Ask) string {
	if l.caller.MaxParallel > 0 {
		return ask.Model + "\x00" + ask.Caller
	}
	return ask.Model
}

// Candidate is what Ask and Next call a deployment when it serves this name.
func (l *Limiter) Candidate(deployment, name string) string {
	if l.named[name] {
		if as := candidateAs(deployment, name); l.byID[as] != nil {
			return as
		}
	}
	return deployment
}

func candidateAs(deployment, name string) string { return deployment + "\x00" + name }

// Limits reports whether the deployment or its group has limits.
func (l *Limiter) Limits(deployment string) bool { return l.limited(deployment) }

// CountsTokens reports whether any limit is of tokens, so that a request's size
// is worth measuring.
func (l *Limiter) CountsTokens() bool { return l.counts }

// Queues reports whether there is a queue.
func (l *Limiter) Queues() bool { return l.queue != nil }

// Queued is how many requests wait.
func (l *Limiter) Queued() int {
	if l.queue == nil {
		return 0
	}
	return l.queue.Len()
}

// QueueSize is how many requests may wait.
func (l *Limiter) QueueSize() int {
	if l.queue == nil {
		return 0
	}
	return l.queue.options.Size
}

// needsSlots reports whether anything of the request is limited in parallel.
func (l *Limiter) needsSlots(ask *Ask) bool {
	if l.global.parallel > 0 || l.caller.MaxParallel > 0 && ask.Caller != "" {
		return true
	}
	for _, id := range ask.Candidates {
		if d := l.byID[id]; d != nil && (d.own.parallel > 0 || d.group != nil && d.group.parallel > 0) {
			return true
		}
	}
	return false
}
