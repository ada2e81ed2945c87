package routing

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// CooldownStore keeps the cooldowns of all replicas. An entry whose time has
// passed may still be listed.
type CooldownStore interface {
	PutCooldown(ctx context.Context, c store.Cooldown) error
	DropCooldown(ctx context.Context, deployment string) error
	Cooldowns(ctx context.Context) ([]store.Cooldown, error)
}

// change is a cooldown that began here, or ended when its Until is zero.
type change struct{ store.Cooldown }

// maxChanges is how many changes may wait to be shared; what is more is not:
// the other replicas will find out by themselves.
const maxChanges = 256

// announce hands a change to the CooldownSharer, if there is one. It never waits.
func (r *Router) announce(c change) {
	select {
	case r.changes <- c:
	default:
	}
}

const (
	sharePoll    = 500 * time.Millisecond
	shareTimeout = time.Second // of one call to the store
)

// CooldownSharer tells the store of the cooldowns that begin and end here, and takes
// over those of other replicas, twice a second. While the store is away each
// replica goes by what it knows. It works in one goroutine of its own, which
// Close ends.
type CooldownSharer struct {
	router  *Router
	store   CooldownStore
	guard   *guard.Guard
	log     *slog.Logger
	cancel  context.CancelFunc
	done    chan struct{}
	adopted map[string]time.Time // cooldowns of other replicas in force here
	away    bool                 // the last call failed
}

// NewCooldownSharer starts sharing the cooldowns of a Router, which has at most one
// CooldownSharer.
func NewCooldownSharer(r *Router, s CooldownStore, g *guard.Guard, log *slog.Logger) *CooldownSharer {
	ctx, cancel := context.WithCancel(context.Background())
	sh := &CooldownSharer{router: r, store: s, guard: g, log: log, cancel: cancel, done: make(chan struct{}), adopted: map[string]time.Time{}}
	g.Go("the sharing of cooldowns", func() { sh.run(ctx) })
	return sh
}

// Close ends the sharing and waits for the call that runs.
func (s *CooldownSharer) Close() {
	s.cancel()
	<-s.done
}

func (s *CooldownSharer) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(sharePoll)
	defer tick.Stop()
	s.guard.Run("the sharing of cooldowns", func() { s.poll(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-s.router.changes:
			s.guard.Run("the sharing of cooldowns", func() { s.publish(ctx, c) })
		case <-tick.C:
			s.guard.Run("the sharing of cooldowns", func() { s.poll(ctx) })
		}
	}
}

func (s *CooldownSharer) publish(ctx context.Context, c change) {
	delete(s.adopted, c.Deployment) // ours now
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	if c.Until.IsZero() {
		s.note(ctx, s.store.DropCooldown(ctx, c.Deployment))
		return
	}
	s.note(ctx, s.store.PutCooldown(ctx, c.Cooldown))
}

// poll takes over what other replicas have found. A cooldown taken over before
// and gone from the store was ended by a good probe elsewhere.
func (s *CooldownSharer) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	list, err := s.store.Cooldowns(ctx)
	if s.note(ctx, err); err != nil {
		return
	}
	now := s.router.now()
	listed := make(map[string]time.Time, len(list))
	for _, c := range list {
		listed[c.Deployment] = c.Until
	}
	for id, until := range s.adopted {
		if _, still := listed[id]; !still || !now.Before(until) {
			if d := s.router.Deployment(id); d != nil && now.Before(until) {
				d.health.dropAdopted(until)
			}
			delete(s.adopted, id)
		}
	}
	for _, c := range list {
		d := s.router.Deployment(c.Deployment)
		if d == nil || d.alone || !now.Before(c.Until) || s.adopted[c.Deployment].Equal(c.Until) {
			continue
		}
		if until, _ := d.health.cooldown(); c.Until.After(until) {
			d.health.adopt(now, c.Until, c.Cause)
			s.adopted[c.Deployment] = c.Until
		}
	}
}

// note says once that the store went away, and once that it is back, unless the
// store says so itself.
func (s *CooldownSharer) note(ctx context.Context, err error) {
	switch {
	case errors.Is(err, store.ErrAway):
	case err != nil && !s.away && ctx.Err() != context.Canceled:
		s.away = true
		s.log.WarnContext(ctx, "cooldowns are not shared with other replicas for now", "error", err)
	case err == nil && s.away:
		s.away = false
		s.log.InfoContext(ctx, "cooldowns are shared with other replicas again")
	}
}
