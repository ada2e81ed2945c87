package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
)

// ErrAway says that the shared server does not answer at present.
var ErrAway = errors.New("the shared store is away")

// Shared is the store that the gateway uses: Redis while it answers in time, and
// this process's own Memory when it does not. See the package comment. It is safe
// for concurrent use.
type Shared struct {
	redis  *Redis // nil: this process is alone
	memory *Memory
	times  times
	lease  time.Duration
	log    *slog.Logger
	guard  *guard.Guard

	breaker  breaker      // of limits and cooldowns; open, nothing is asked
	blobs    breaker      // of blobs
	replicas atomic.Int64 // alive, as Redis last said
	foreign  atomic.Int64 // of them: they count under keys of another version
	last     atomic.Pointer[Beat]

	// mu is held over each change of the Memory together with what must be sent to Redis for
	// it, so that resync finds each change in both or in none.
	mu         sync.Mutex
	outbox     *outbox           // what must be sent to Redis
	unanswered *unanswered       // what it was sent without a reply; nil: nothing
	epoch      string            // of Redis; "": not known
	held       map[Held]struct{} // slots held by this process, which are renewed

	number int64 // of the last call of settle.lua; run's alone

	calls   sync.WaitGroup // of Acquire to Redis
	silence silenceTimer   // in answer to them
	wake    chan struct{}  // signals that the outbox is not empty
	stop    context.CancelFunc
	done    chan struct{}
}

// SharedOptions are what a Shared needs.
type SharedOptions struct {
	Redis *Redis // nil: limits are kept in this process alone. Close closes it
	// Silence is how long Redis may answer no call, while calls wait for it, until it
	// counts as gone; default 100 ms.
	Silence time.Duration
	// Budget is how long a request waits for Redis without asking whether it is
	// there; default two fifths of Silence. See waitFor.
	Budget time.Duration
	// Lease is how long the slots of a killed process stay taken; default 10 s.
	Lease time.Duration
	Now   func() time.Time // required
	Log   *slog.Logger     // required
	Guard *guard.Guard
}

// Times of Shared that no request waits for.
const (
	defaultLease    = 10 * time.Second
	probeEvery      = 200 * time.Millisecond // at first
	probeSeldom     = 10 * time.Second       // when Redis goes again and again
	resetBlobsEvery = 5 * time.Second        // failures of blobs that are further apart do not add up
	coalesce        = 2 * time.Millisecond   // settlements of this time travel together
)

// NewShared makes the store and, when there is a Redis, tries to reach it for about
// a second. A Redis that is not there is no error. End it with Close.
func NewShared(o SharedOptions) *Shared {
	s := &Shared{
		redis: o.Redis, times: timesOf(o.Silence, o.Budget), lease: o.Lease, log: o.Log, guard: o.Guard,
		outbox: newOutbox(), held: map[Held]struct{}{}, wake: make(chan struct{}, 1), done: make(chan struct{}),
		silence: silenceTimer{began: time.Now()},
	}
	if s.lease <= 0 {
		s.lease = defaultLease
	}
	s.replicas.Store(1)
	s.last.Store(&Beat{})
	if s.redis == nil {
		s.memory = NewMemory(o.Now)
		s.stop = func() {}
		close(s.done)
		return s
	}
	s.memory = NewMemory(s.redis.clock) // the same slices in both
	s.connect()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.guard.Go("the shared store", func() { s.run(ctx) })
	return s
}

// connect makes the first contact: it learns the server's clock and the peers.
func (s *Shared) connect() {
	ctx, cancel := context.WithTimeout(context.Background(), s.times.start)
	defer cancel()
	peers, err := s.redis.Beat(ctx, Beat{})
	if err != nil {
		s.breaker.open.Store(true)
		s.log.Warn("redis does not answer: this replica keeps its limits by itself until it does", "error", err)
		return
	}
	s.notePeers(peers)
	s.epoch = peers.Epoch
}

// Close sends what is in the outbox, within half a second, and ends the connections.
func (s *Shared) Close() error {
	s.calls.Wait() // their results may put more into the outbox
	s.stop()
	<-s.done
	if s.redis == nil {
		return nil
	}
	return s.redis.Close()
}

// Away reports whether there is a Redis that does not answer.
func (s *Shared) Away() bool { return s.redis != nil && !s.breaker.closed() }

// Acquire takes room for the first candidate that has it, or takes nothing. It
// returns within the budget. The only error is that of a ctx that was over
// before; one that ends later does not cut the call short, so that nothing is
// taken without anybody knowing.
func (s *Shared) Acquire(ctx context.Context, q *Request) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	if s.redis == nil {
		return s.memory.Acquire(ctx, q)
	}
	own := *q
	own.Lease, own.Useful = s.lease, s.times.budget
	if !s.breaker.closed() {
		return s.acquireLocally(&own, own.Return), nil
	}
	reply, err := s.acquireShared(ctx, &own)
	if err == nil {
		return reply, nil
	}
	back := own.Return
	if !notApplied(err) {
		// It may have been charged or not: the corrections are not sent again, since they
		// would count twice; slots are given back.
		back.Corrections = nil
		s.release(&own)
	}
	return s.acquireLocally(&own, back), nil
}

// notePeers notes how many replicas are alive.
func (s *Shared) notePeers(p Peers) {
	s.replicas.Store(int64(p.Replicas))
	s.foreign.Store(int64(p.Foreign))
}

// acquireShared asks Redis and mirrors what it grants.
func (s *Shared) acquireShared(ctx context.Context, q *Request) (Reply, error) {
	q.Epoch = s.knownEpoch()
	sent := *q // the call may outlive the wait for it
	if foreign := s.foreign.Load(); foreign > 0 {
		all := s.replicas.Load()
		sent = shareOf(q, max(all-foreign, 1), all)
	}
	reply, err := s.waitFor(
		func(ctx context.Context) (Reply, error) { return s.redis.Acquire(ctx, &sent) },
		func(r Reply, err error) { s.lateAnswer(&sent, r, err) })
	if err != nil {
		s.noteFailure(err)
		return Reply{}, err
	}
	s.breaker.succeed()
	s.mu.Lock()
	defer s.mu.Unlock()
	back := Settlement{ID: q.ID, Slots: q.Return.Slots} // once more, in case a renewal under way holds them again
	lost := s.epoch != q.Epoch                          // resync has put into the outbox what had been mirrored by then
	if lost {
		back.Corrections = q.Return.Corrections
	}
	s.enqueue(back)
	if reply.Chosen < 0 {
		_ = s.memory.Settle(ctx, []Settlement{q.Return}) // Memory never fails
		return reply, nil
	}
	s.memory.mirror(q, &reply)
	s.noteHeld(q, reply.Chosen)
	if lost {
		s.enqueueGrant(q, &reply)
	}
	return reply, nil
}

// acquireLocally asks the Memory for this replica's share of each limit. What it grants
// goes into the outbox, with what is to be given back.
func (s *Shared) acquireLocally(q *Request, back Settlement) Reply {
	share := shareOf(q, 1, s.replicas.Load())
	share.Lease, share.Useful = 0, 0
	s.mu.Lock()
	defer s.mu.Unlock()
	reply, _ := s.memory.Acquire(context.Background(), &share) // Memory never fails
	s.enqueue(back)
	if reply.Chosen >= 0 {
		s.noteHeld(q, reply.Chosen)
		s.enqueueGrant(q, &reply)
	}
	return reply
}

// shareOf is a request for the part of each limit that so many of all replicas have; 1
// is left at least.
func shareOf(q *Request, part, all int64) Request {
	share := func(limit int64) int64 { return max(limit/all*part+limit%all*part/all, 1) }
	demand := func(d *Demand) Demand {
		out := Demand{Windows: slices.Clone(d.Windows), Slots: slices.Clone(d.Slots)}
		for i := range out.Windows {
			out.Windows[i].Limit = share(out.Windows[i].Limit)
		}
		for i := range out.Slots {
			out.Slots[i].Limit = share(out.Slots[i].Limit)
		}
		return out
	}
	own := *q
	own.Shared, own.Candidates = demand(&q.Shared), make([]Demand, len(q.Candidates))
	for i := range q.Candidates {
		own.Candidates[i] = demand(&q.Candidates[i])
	}
	return own
}

// noteHeld notes that this process holds the slots of a granted request. The caller has
// locked s.mu.
func (s *Shared) noteHeld(q *Request, chosen int) {
	for _, d := range q.granted(chosen) {
		for _, slot := range d.Slots {
			h := Held{slot.Key, q.ID}
			s.held[h] = struct{}{}
			delete(s.outbox.released, h)
		}
	}
}

// enqueueGrant puts into the outbox what was charged for a request without Redis, and its slots.
// The caller has locked s.mu.
func (s *Shared) enqueueGrant(q *Request, granted *Reply) {
	for _, d := range q.granted(granted.Chosen) {
		for _, w := range d.Windows {
			s.outbox.correct(Correction{w.Key, granted.Second, w.Cost})
		}
		for _, slot := range d.Slots {
			s.outbox.renew(Held{slot.Key, q.ID})
		}
	}
	s.wakeUp()
}

// release gives back the slots that a lost call may have taken.
func (s *Shared) release(q *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range append([]Demand{q.Shared}, q.Candidates...) {
		for _, slot := range d.Slots {
			if h := (Held{slot.Key, q.ID}); !s.holds(h) {
				s.outbox.released[h] = struct{}{}
			}
		}
	}
}

// lateAnswer handles the reply to a call whose caller no longer waits. What was granted is
// given back. What the call should have given back, and surely has not, goes into the
// outbox.
func (s *Shared) lateAnswer(q *Request, r Reply, err error) {
	s.release(q)
	s.mu.Lock()
	defer s.mu.Unlock()
	back := Settlement{ID: q.ID}
	switch {
	case s.epoch != q.Epoch: // what the call did is lost
	case notApplied(err):
		back.Corrections = q.Return.Corrections
	case err == nil && r.Chosen >= 0:
		for _, d := range q.granted(r.Chosen) {
			for _, w := range d.Windows {
				back.Corrections = append(back.Corrections, Correction{w.Key, r.Second, -w.Cost})
			}
		}
	}
	s.enqueue(back)
}

// knownEpoch is the epoch of Redis's last reply; "": there was none yet.
func (s *Shared) knownEpoch() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

func (s *Shared) holds(h Held) bool { _, ok := s.held[h]; return ok }

// Settle corrects charges and gives slots back, in this process at once and at
// Redis soon after. It does not wait.
func (s *Shared) Settle(t Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.memory.Settle(context.Background(), []Settlement{t}) // Memory never fails
	if s.redis != nil {
		s.enqueue(t)
	}
}

// enqueue puts a settlement for Redis into the outbox and stops renewing its slots. The
// caller has locked s.mu.
func (s *Shared) enqueue(t Settlement) {
	if t.empty() {
		return
	}
	s.outbox.add(&t)
	for _, key := range t.Slots {
		delete(s.held, Held{key, t.ID})
		delete(s.outbox.renewed, Held{key, t.ID})
	}
	s.wakeUp()
}

// wakeUp signals run to send what is in the outbox. It does not wait.
func (s *Shared) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Beat tells the other replicas what runs here, and what is known of them. While
// Redis is away it is what was read last; the other replicas' load is then left
// out. The error is always nil.
func (s *Shared) Beat(ctx context.Context, b Beat) (Peers, error) {
	s.last.Store(&b)
	if s.redis != nil && s.breaker.closed() {
		ctx, cancel := context.WithTimeout(ctx, s.times.background)
		defer cancel()
		known := s.knownEpoch()
		peers, err := s.redis.Beat(ctx, b)
		if err == nil {
			s.breaker.succeed()
			s.notePeers(peers)
			s.resync(known, peers.Epoch)
			return peers, nil
		}
		s.noteFailure(err)
	}
	peers, _ := s.memory.Beat(ctx, b) // Memory never fails
	peers.Replicas = int(s.replicas.Load())
	return peers, nil
}

// noteFailure counts a failed call in the breaker, and logs when that opens it. A reply that
// Redis does not write opens it at once.
func (s *Shared) noteFailure(err error) {
	if s.breaker.fail(errors.Is(err, errSilent) || refused(err)) {
		s.log.Warn("redis does not answer: this replica keeps its share of the limits by itself until it does",
			"error", err, "replicas", s.replicas.Load())
	}
}
