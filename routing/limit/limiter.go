package limit

import (
	"context"
	"sync/atomic"
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
	// deployments that stay is shared, running requests included, and with the same Store
	// the queue is.
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
	queue  *queue // nil: none
	room   QueueOptions
	counts bool // some limit is of tokens
	usage  *usageTracker

	named map[string]bool // the Names of all deployments

	successor atomic.Pointer[Limiter] // see ReplacedBy; nil: none

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
		l.room = o.Queue.withDefaults()
		if before := o.Previous; before != nil && before.queue != nil && before.store == o.Store {
			l.queue = before.queue
		} else {
			l.queue = newQueue(l.room.Poll, o.Guard)
		}
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

// ReplacedBy tells that a Limiter made with Options.Previous has taken the place of this
// one. What waits in the queue, and what tries again, is under its limits from now on,
// except for deployments that it does not know.
func (l *Limiter) ReplacedBy(next *Limiter) {
	if next != l && next != nil && next.store == l.store {
		l.successor.Store(next)
	}
}

// newest is the Limiter in force.
func (l *Limiter) newest() *Limiter {
	for next := l.successor.Load(); next != nil; next = l.successor.Load() {
		l = next
	}
	return l
}

// deployment is what is known of a candidate, under the limits in force; nil: it is not
// known, so it has none.
func (l *Limiter) deployment(id string) *deployment {
	if newest := l.newest(); newest.byID[id] != nil {
		return newest.byID[id]
	}
	return l.byID[id]
}

// Close ends the heartbeat. Admissions may still be closed afterwards.
func (l *Limiter) Close() {
	l.stop()
	<-l.done
}

// Ask is a request that wants to be sent.
type Ask struct {
	ID         string   // unique among running requests
	Model      string   // the name asked for, for messages
	Caller     string   // whose limits it counts in; "": no caller's
	Candidates []string // IDs of deployments, or what Candidate made of them, in the order of the strategy; at least one
	Size       Size
	// Usable reports whether a candidate may still be taken, for a request that waits in
	// the queue; nil: each may. It is called from another goroutine.
	Usable func(candidate int) bool
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
	return l.queue.len()
}

// QueueSize is how many requests may wait.
func (l *Limiter) QueueSize() int {
	if l.queue == nil {
		return 0
	}
	return l.room.Size
}
