package cli

import (
	"context"
	"errors"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// generation is one configuration that requests run under, and what they lean on.
type generation struct {
	gateway *gateway
	with    *resources
	inUse   *extproc.Snapshot
}

// use puts a configuration in force and returns the one it replaces, or nil.
func (s *service) use(g *gateway, with *resources) *generation {
	g.router = with.router
	with.watch(s.counts, g.config)
	s.runtime.Use(with.router, extproc.Settings{
		MasterKey: g.config.MasterKey, MaxBody: g.config.MaxRequestBody, Verbose: g.config.Verbose,
		Cache: with.cache, Limiter: with.limiter, Callbacks: with.callbacks, Tokens: with.tokens,
		MaxHold: g.config.Limits.QueueTimeout, TenantHeader: g.config.Limits.TenantHeader, Origins: g.config.Origins,
		Unenforced: g.config.Unenforced,
	})
	s.runtime.Show(extproc.Figures{Version: buildVersion(), Envoy: s.front, Strategy: g.config.Router.Strategy})
	if g.config.Redis.Configured() && s.replica != "" {
		with.speak(s.peers.Follow("Redis", func(ctx context.Context) ([]string, error) {
			all, err := with.store.Meet(ctx, s.replica)
			if errors.Is(err, store.ErrAway) {
				err = peer.ErrAway // the store says so itself
			}
			return all, err
		}))
	}
	replaced := s.current
	s.current = &generation{gateway: g, with: with, inUse: s.runtime.Current()}
	return replaced
}

// retirePoll is how often it is asked whether the last request under an old
// configuration has ended. The first time is late enough for one that had just
// come when it was replaced.
const retirePoll = time.Second

// retire takes an old configuration apart when its last request has ended, or the
// service ends, and calls then.
func (s *service) retire(old *generation, then func(context.Context)) {
	old.with.silence()
	s.retiring.Go(func() { s.runtime.Guard().Run("a replaced configuration", func() { s.await(old, then) }) })
}

// await is what retire does beside its caller.
func (s *service) await(old *generation, then func(context.Context)) {
	tick := time.NewTicker(retirePoll)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
			ended = old.inUse.Open() == 0
		case <-s.ending:
			ended = true
		}
	}
	flush, flushed := context.WithTimeout(context.Background(), flushTime)
	defer flushed()
	old.with.close(flush)
	ctx, cancel := context.WithTimeout(context.Background(), addTime)
	defer cancel()
	then(ctx)
}
