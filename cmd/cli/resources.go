package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/all"
	"github.com/isthmus-proxy/isthmus/extproc/trace"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/guard"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// resources are the parts that one configuration needs built: the store of limits,
// the limiter, the router, the cache, the callbacks, the tracer. What the next
// configuration has the same is handed on to it.
type resources struct {
	config    *config.Config
	guard     *guard.Guard
	store     *store.Shared
	limiter   *limit.Limiter
	router    *routing.Router
	cache     *cache.Cache // nil: off
	callbacks *all.Set
	tokens    *tokens.Counter
	tracer    *trace.Tracer // nil: no spans

	// The users of what the next configuration may take over.
	storeRef, cacheRef, callbacksRef, tracerRef *refCounted

	afterReload bool          // another configuration was in force before
	publishers  []func()      // stop what tells other replicas of this one; idempotent
	retained    []*refCounted // all that close releases, in the order of opening
}

// newResources builds what the config asks for; close must be called. previous are
// the resources of the configuration that this one replaces, nil at the start: what
// both configurations have the same is shared, with its state.
func newResources(
	c *config.Config, hooks []*callback.Hooks, g *guard.Guard, log *slog.Logger, previous *resources,
) (_ *resources, err error) {
	r := &resources{config: c, guard: g, tokens: tokens.New()}
	defer func() {
		if err != nil {
			ctx, cancel := context.WithTimeout(context.Background(), flushTime)
			defer cancel()
			r.close(ctx)
		}
	}()
	if previous == nil {
		previous = &resources{}
		g.Go("the counting of tokens", r.tokens.Warm) // off the path of the first request; it ends by itself
	} else {
		r.tokens, r.afterReload = previous.tokens, true
	}
	if err := r.openTraces(c.Callbacks, log, previous); err != nil {
		return nil, err
	}
	if err := r.openStore(c, log, previous); err != nil {
		return nil, err
	}
	r.openLimits(c, previous)
	if err := r.openRouter(c, log, previous); err != nil {
		return nil, err
	}
	if err := r.openCache(c.Cache, log, previous); err != nil {
		return nil, err
	}
	return r, r.openCallbacks(c.Callbacks, hooks, log, previous)
}

// openStore opens the store of limits: Redis where one is configured; without one,
// and while Redis does not answer, the memory of this process.
func (r *resources) openStore(c *config.Config, log *slog.Logger, previous *resources) error {
	if old := previous.config; old != nil && reflect.DeepEqual(old.Redis, c.Redis) && old.RedisTimeout == c.RedisTimeout {
		r.store, r.storeRef = previous.store, r.retain(previous.storeRef)
		return nil
	}
	options := store.SharedOptions{Silence: c.RedisTimeout, Now: time.Now, Log: log, Guard: r.guard}
	if c.Redis.Configured() {
		redis, err := store.NewRedis(store.RedisOptions{Server: store.Server(c.Redis), Replica: replicaName(), Log: log, Now: time.Now})
		if err != nil {
			return fmt.Errorf("open Redis: %w", err)
		}
		options.Redis = redis
	}
	r.store = store.NewShared(options)
	r.storeRef = r.retain(newRefCounted(func(context.Context) { _ = r.store.Close() }))
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

func (r *resources) openLimits(c *config.Config, previous *resources) {
	o := limit.Options{
		Guard: r.guard, Previous: previous.limiter, Store: r.store, Now: time.Now,
		MaxParallel: int64(c.Limits.MaxParallelRequests), Caller: budgetOf(c.Limits.Tenant),
		Groups: make(map[string]limit.Budget, len(c.Router.GroupLimits)),
	}
	for i := range c.Deployments {
		d := &c.Deployments[i]
		o.Deployments = append(o.Deployments, limit.Deployment{
			ID: d.ID, Group: d.ModelName, Names: c.NamesWithLimits(d.ModelName),
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
	r.addPublisher(r.limiter.Close)
}

func budgetOf(l config.SharedLimit) limit.Budget {
	return limit.Budget{RPM: l.RPM, TPM: l.TPM, ITPM: l.ITPM, OTPM: l.OTPM, MaxParallel: int64(l.MaxParallel)}
}

func (r *resources) openRouter(c *config.Config, log *slog.Logger, previous *resources) error {
	o := routing.Options{Limits: r.limiter, Previous: previous.router}
	if c.Redis.Configured() {
		o.Usage, o.Peers = r.limiter, r.limiter
	}
	var err error
	if r.router, err = routing.New(c, o); err != nil {
		return fmt.Errorf("the model config cannot be used: %w", err)
	}
	if c.Redis.Configured() {
		sharer := routing.NewCooldownSharer(r.router, r.store, r.guard, log)
		r.addPublisher(sharer.Close)
	}
	return nil
}

func (r *resources) openCache(c config.Cache, log *slog.Logger, previous *resources) error {
	if !c.Enabled {
		return nil
	}
	if previous.cache != nil && reflect.DeepEqual(previous.config.Cache, c) && previous.store == r.store {
		r.cache, r.cacheRef = previous.cache, r.retain(previous.cacheRef)
		return nil
	}
	types, unknown := cache.ReadCallTypes(c.CallTypes)
	for _, name := range unknown {
		log.Warn("cache_params.supported_call_types: no call of this type is cached", "type", name)
	}
	o := cache.Config{
		Blobs: r.store, Miss: store.ErrMiss, Namespace: c.Namespace, TTL: c.TTL, MaxEntry: c.MaxEntrySize,
		OptIn: c.OptIn, CallTypes: types, Guard: r.guard,
	}
	closeLocal := func() {}
	if c.Type == "local" {
		local, err := cache.NewLocal(c.MaxSize)
		if err != nil {
			return fmt.Errorf("open the cache: %w", err)
		}
		closeLocal = local.Close
		o.Blobs, o.Miss = local, cache.ErrMiss
	}
	r.cache = cache.New(o)
	r.cacheRef = r.retain(newRefCounted(func(ctx context.Context) {
		_ = r.cache.Close(ctx)
		closeLocal()
	}))
	return nil
}

func (r *resources) openCallbacks(c config.Callbacks, hooks []*callback.Hooks, log *slog.Logger, previous *resources) (err error) {
	if previous.config != nil && reflect.DeepEqual(previous.config.Callbacks, c) {
		r.callbacks, r.callbacksRef = previous.callbacks, r.retain(previous.callbacksRef)
		return nil
	}
	r.callbacks, err = all.Open(c, all.Deps{
		Log: log, Now: time.Now, Rand: mathrand.Float64, Version: buildVersion(), Hooks: hooks, Guard: r.guard,
	})
	if err != nil {
		return err
	}
	r.callbacksRef = r.retain(newRefCounted(func(ctx context.Context) {
		if err := r.callbacks.Close(ctx); err != nil {
			log.Error("callbacks: not everything could be delivered", "error", err)
		}
	}))
	return nil
}

// openTraces opens the tracer at the start. It is kept over reloads: the environment
// that configures it does not change.
func (r *resources) openTraces(c config.Callbacks, log *slog.Logger, previous *resources) (err error) {
	if previous.config != nil {
		r.tracer, r.tracerRef = previous.tracer, r.retain(previous.tracerRef)
		return nil
	}
	r.tracer, err = trace.Open(context.Background(), trace.Config{Asked: wantsTraces(c), Getenv: os.Getenv, Version: buildVersion(), Log: log})
	if err != nil {
		return err
	}
	r.tracerRef = r.retain(newRefCounted(func(ctx context.Context) {
		if err := r.tracer.Close(ctx); err != nil {
			log.Warn("traces: the last spans could not be delivered", "error", err)
		}
	}))
	return nil
}

// wantsTraces reports whether the config itself asks for spans.
func wantsTraces(c config.Callbacks) bool {
	return slices.Contains(c.Success, "otel") || slices.Contains(c.Failure, "otel")
}

// retain makes these resources a user of c until close.
func (r *resources) retain(c *refCounted) *refCounted {
	c.users.Add(1)
	r.retained = append(r.retained, c)
	return c
}

// addPublisher registers the end of something that tells other replicas of this
// one. stop must be idempotent: stopPublishing and close both call it.
func (r *resources) addPublisher(stop func()) {
	r.publishers = append(r.publishers, stop)
	r.retain(newRefCounted(func(context.Context) { stop() }))
}

// stopPublishing is called when another configuration has come into force, which
// publishes for this replica from then on. Requests may still run under this one.
func (r *resources) stopPublishing() {
	for _, stop := range r.publishers {
		stop()
	}
}

// close releases everything, in the reverse order of opening, and closes what has
// no other user. Callbacks, cache and spans are flushed first, until ctx ends.
func (r *resources) close(ctx context.Context) {
	for _, c := range slices.Backward(r.retained) {
		c.release(ctx)
	}
}
