package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/all"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// resources are what the request path leans on: the shared store and what is kept
// in it, the cache, the sinks, the counters.
type resources struct {
	store     *store.Shared
	limiter   *limit.Limiter
	router    *routing.Router
	cache     *cache.Cache // nil: off
	callbacks *all.Set
	tokens    *tokens.Counter
	tracer    *trace.Tracer // nil: nobody wants spans

	closers []func(context.Context) // in the order of their making
}

// newResources makes what the config asks for. close must be called.
func newResources(c *config.Config, hooks []*callback.Hooks, log *slog.Logger) (_ *resources, err error) {
	r := &resources{tokens: tokens.New()}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), flushTime)
			defer cancel()
			r.close(ctx)
		}
	}()
	if err := r.openTraces(c.Callbacks, log); err != nil {
		return nil, err
	}
	go r.tokens.Warm() // off the path of the first request; it ends by itself
	if err := r.openStore(c, log); err != nil {
		return nil, err
	}
	r.openLimits(c)
	if err := r.openRouter(c, log); err != nil {
		return nil, err
	}
	if err := r.openCache(c.Cache, log); err != nil {
		return nil, err
	}
	return r, r.openCallbacks(c.Callbacks, hooks, log)
}

// openStore opens the store of limits: Redis where one is configured, this
// process's memory else and whenever Redis does not answer.
func (r *resources) openStore(c *config.Config, log *slog.Logger) error {
	options := store.SharedOptions{Silence: c.RedisTimeout, Now: time.Now, Log: log}
	if c.Redis.Configured() {
		redis, err := store.NewRedis(store.RedisOptions{Server: store.Server(c.Redis), Replica: replicaName(), Now: time.Now})
		if err != nil {
			return fmt.Errorf("open Redis: %w", err)
		}
		options.Redis = redis
	}
	r.store = store.NewShared(options)
	r.onClose(func(context.Context) { _ = r.store.Close() })
	return nil
}

// replicaName is unique to this process: a host may run several.
func replicaName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	return host + "-" + rand.Text()[:8]
}

func (r *resources) openLimits(c *config.Config) {
	o := limit.Options{
		Store: r.store, Now: time.Now, MaxParallel: int64(c.Limits.MaxParallelRequests), Caller: budgetOf(c.Limits.Tenant),
		Groups: make(map[string]limit.Budget, len(c.Router.GroupLimits)),
	}
	for i := range c.Deployments {
		d := &c.Deployments[i]
		o.Deployments = append(o.Deployments, limit.Deployment{
			ID: d.ID, Group: d.ModelName,
			Budget: limit.Budget{RPM: d.RPM, TPM: d.TPM, ITPM: d.ITPM, OTPM: d.OTPM, MaxParallel: int64(d.MaxParallel)},
		})
	}
	for group, l := range c.Router.GroupLimits {
		o.Groups[group] = budgetOf(l)
	}
	if c.Limits.QueueEnabled {
		o.Queue = &limit.QueueOptions{Size: c.Limits.QueueMaxSize, Timeout: c.Limits.QueueTimeout}
	}
	r.limiter = limit.New(o)
	r.onClose(func(context.Context) { r.limiter.Close() })
}

func budgetOf(l config.SharedLimit) limit.Budget {
	return limit.Budget{RPM: l.RPM, TPM: l.TPM, ITPM: l.ITPM, OTPM: l.OTPM, MaxParallel: int64(l.MaxParallel)}
}

func (r *resources) openRouter(c *config.Config, log *slog.Logger) error {
	o := routing.Options{Room: r.limiter}
	if c.Redis.Configured() {
		o.Usage, o.Peers = r.limiter, r.limiter
	}
	var err error
	if r.router, err = routing.New(c, o); err != nil {
		return fmt.Errorf("the model config cannot be used: %w", err)
	}
	if c.Redis.Configured() {
		sharer := routing.NewSharer(r.router, r.store, log)
		r.onClose(func(context.Context) { sharer.Close() })
	}
	return nil
}

func (r *resources) openCache(c config.Cache, log *slog.Logger) error {
	if !c.Enabled {
		return nil
	}
	types, unknown := cache.ReadCallTypes(c.CallTypes)
	for _, name := range unknown {
		log.Warn("cache_params.supported_call_types: no call of this type is cached", "type", name)
	}
	o := cache.Config{Blobs: r.store, Miss: store.ErrMiss, Namespace: c.Namespace, TTL: c.TTL, MaxEntry: c.MaxEntrySize, OptIn: c.OptIn, CallTypes: types}
	if c.Type == "local" {
		local, err := cache.NewLocal(c.MaxSize)
		if err != nil {
			return fmt.Errorf("open the cache: %w", err)
		}
		r.onClose(func(context.Context) { local.Close() })
		o.Blobs, o.Miss = local, cache.ErrMiss
	}
	r.cache = cache.New(o)
	r.onClose(func(ctx context.Context) { _ = r.cache.Close(ctx) })
	return nil
}

func (r *resources) openCallbacks(c config.Callbacks, hooks []*callback.Hooks, log *slog.Logger) (err error) {
	r.callbacks, err = all.Open(c, all.Deps{Log: log, Now: time.Now, Rand: mathrand.Float64, Version: buildVersion(), Hooks: hooks})
	if err != nil {
		return err
	}
	r.onClose(func(ctx context.Context) {
		if err := r.callbacks.Close(ctx); err != nil {
			log.Error("callbacks: not everything could be delivered", "error", err)
		}
	})
	return nil
}

func (r *resources) openTraces(c config.Callbacks, log *slog.Logger) (err error) {
	asked := slices.Contains(c.Success, "otel") || slices.Contains(c.Failure, "otel")
	r.tracer, err = trace.Open(context.Background(), trace.Config{Asked: asked, Getenv: os.Getenv, Version: buildVersion(), Log: log})
	if err != nil {
		return err
	}
	r.onClose(func(ctx context.Context) {
		if err := r.tracer.Close(ctx); err != nil {
			log.Warn("traces: the last spans could not be delivered", "error", err)
		}
	})
	return nil
}

func (r *resources) onClose(f func(context.Context)) { r.closers = append(r.closers, f) }

// close gives everything back, what was made last first. What must still be
// written is, as long as ctx allows.
func (r *resources) close(ctx context.Context) {
	for i := len(r.closers) - 1; i >= 0; i-- {
		r.closers[i](ctx)
	}
}
