package cli

import (
	"context"
	"errors"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/admin"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// activeConfig is a configuration that is or was in force: the file as it was
// read, the resources built for it, and the snapshot that requests run under.
type activeConfig struct {
	loaded    *loaded
	resources *resources
	snapshot  interface{ Open() int64 } // an *extproc.Snapshot: how many requests run under it
}

// activate puts a configuration in force for new requests and returns the one it
// replaces, for retire; nil for the first.
func (s *service) activate(cfg *loaded, r *resources) *activeConfig {
	cfg.router = r.router
	s.metrics.Watch(r.metricSources(cfg.config.Limits.QueueEnabled))
	s.runtime.Use(r.router, extproc.Settings{
		MasterKey: cfg.config.MasterKey, MaxBody: cfg.config.MaxRequestBody, Verbose: cfg.config.Verbose,
		StreamFailover: cfg.config.Router.StreamFailover,
		Cache:          r.cache, Limiter: r.limiter, Callbacks: r.callbacks, Tokens: r.tokens,
		MaxHold: cfg.config.Limits.QueueTimeout, TenantHeader: cfg.config.Limits.TenantHeader, Origins: cfg.config.Origins,
		Unenforced: cfg.config.Unenforced,
	})
	s.adminHandler.Show(admin.Figures{Version: buildVersion(), Envoy: s.envoyVersion, Strategy: cfg.config.Router.Strategy})
	if cfg.config.Redis.Configured() && s.replica != "" {
		r.addPublisher(s.peers.Follow("Redis", func(ctx context.Context) ([]string, error) {
			all, err := r.store.RegisterReplica(ctx, s.replica)
			if errors.Is(err, store.ErrAway) {
				err = peer.ErrAway // the store logs this itself
			}
			return all, err
		}))
	}
	replaced := s.current
	s.current = &activeConfig{loaded: cfg, resources: r, snapshot: s.runtime.Current()}
	return replaced
}

// retirePoll is how often the open requests of a replaced configuration are
// counted.
const retirePoll = time.Second

// retire closes a replaced configuration when its last request has ended or the
// service ends, and then calls closed. It returns at once.
func (s *service) retire(old *activeConfig, closed func(context.Context)) {
	old.resources.stopPublishing()
	s.retiring.Go(func() {
		s.runtime.Guard().Run("a replaced configuration", func() { s.waitAndClose(old, closed) })
	})
}

func (s *service) waitAndClose(old *activeConfig, closed func(context.Context)) {
	tick := time.NewTicker(retirePoll)
	defer tick.Stop()
	for unused := false; !unused; {
		select {
		case <-tick.C:
			unused = old.snapshot.Open() == 0
		case <-s.ending:
			unused = true
		}
	}
	flush, flushed := context.WithTimeout(context.Background(), flushTime)
	defer flushed()
	old.resources.close(flush)
	ctx, cancel := context.WithTimeout(context.Background(), addTime)
	defer cancel()
	closed(ctx)
}
