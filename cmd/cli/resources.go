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

// resources are what the request path leans on: the shared store and what is kept
// in it, the cache, the sinks, the counters.
type resources struct {
	config    *config.Config
	guard     *guard.Guard
	store     *store.Shared
	limiter   *limit.Limiter
	router    *routing.Router
	cache     *cache.Cache // nil: off
	callbacks *all.Set
	tokens    *tokens.Counter
	tracer    *trace.Tracer // nil: nobody wants spans

	// What the next configuration may take over.
	storePart, cachePart, callbacksPart, tracerPart *part

	later  bool     // another configuration was in force before
	voices []func() // end what tells the other replicas of this one; again is no harm
	parts  []*part  // all that is held, in the order of their making
}

// newResources makes what the config asks for. close must be called. previous is
// what the configuration has that this one replaces, or nil: what is the same for
// both is shared, with all that it knows.
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
		r.tokens, r.later = previous.tokens, true
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

// openStore opens the store of limits: Redis where one is configured, this
// process's memory else and whenever Redis does not answer.
func (r *resources) openStore(c *config.Config, log *slog.Logger, previous *resources) error {
	if old := previous.config; old != nil && reflect.DeepEqual(old.Redis, c.Redis) && old.RedisTimeout == c.RedisTimeout {
		r.store, r.storePart = previous.store, r.keep(previous.storePart)
		return nil
	}
	options := store.SharedOptions{Silence: c.RedisTimeout, Now: time.Now, Log: log, Guard: r.guard}
	if c.Redis.Configured() {
		redis, err := store.NewRedis(store.RedisOptions{Server: store.Server(c.Redis), Replica: replicaName(), Now: time.Now})
		if err != nil {
			return fmt.Errorf("open Redis: %w", err)
		}
		options.Redis = redis
	}
	r.store = store.NewShared(options)
	r.storePart = r.keep(newPart(func(context.Context) { _ = r.store.Close() }))
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
	r.speak(r.limiter.Close)
}

func budgetOf(l config.SharedLimit) limit.Budget {
	return limit.Budget{RPM: l.RPM, TPM: l.TPM, ITPM: l.ITPM, OTPM: l.OTPM, MaxParallel: int64(l.MaxParallel)}
}

func (r *resources) openRouter(c *config.Config, log *slog.Logger, previous *resources) error {
	o := routing.Options{Room: r.limiter, Previous: previous.router}
	if c.Redis.Configured() {
		o.Usage, o.Peers = r.limiter, r.limiter
	}
	var err error
	if r.router, err = routing.New(c, o); err != nil {
		return fmt.Errorf("the model config cannot be used: %w", err)
	}
	if c.Redis.Configured() {
		sharer := routing.NewSharer(r.router, r.store, r.guard, log)
		r.speak(sharer.Close)
	}
	return nil
}

func (r *resources) openCache(c config.Cache, log *slog.Logger, previous *resources) error {
	if !c.Enabled {
		return nil
	}
	if previous.cache != nil && reflect.DeepEqual(previous.config.Cache, c) && previous.store == r.store {
		r.cache, r.cachePart = previous.cache, r.keep(previous.cachePart)
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
	ends := func() {}
	if c.Type == "local" {
		local, err := cache.NewLocal(c.MaxSize)
		if err != nil {
			return fmt.Errorf("open the cache: %w", err)
		}
		ends = local.Close
		o.Blobs, o.Miss = local, cache.ErrMiss
	}
	r.cache = cache.New(o)
	r.cachePart = r.keep(newPart(func(ctx context.Context) {
		_ = r.cache.Close(ctx)
		ends()
	}))
	return nil
}

func (r *resources) openCallbacks(c config.Callbacks, hooks []*callback.Hooks, log *slog.Logger, previous *resources) (err error) {
	if previous.config != nil && reflect.DeepEqual(previous.config.Callbacks, c) {
		r.callbacks, r.callbacksPart = previous.callbacks, r.keep(previous.callbacksPart)
		return nil
	}
	r.callbacks, err = all.Open(c, all.Deps{
		Log: log, Now: time.Now, Rand: mathrand.Float64, Version: buildVersion(), Hooks: hooks, Guard: r.guard,
	})
	if err != nil {
		return err
	}
	r.callbacksPart = r.keep(newPart(func(ctx context.Context) {
		if err := r.callbacks.Close(ctx); err != nil {
			log.Error("callbacks: not everything could be delivered", "error", err)
		}
	}))
	return nil
}

// openTraces opens them at the start: which environment they come from does not
// change afterwards.
func (r *resources) openTraces(c config.Callbacks, log *slog.Logger, previous *resources) (err error) {
	if previous.config != nil {
		r.tracer, r.tracerPart = previous.tracer, r.keep(previous.tracerPart)
		return nil
	}
	r.tracer, err = trace.Open(context.Background(), trace.Config{Asked: wantsTraces(c), Getenv: os.Getenv, Version: buildVersion(), Log: log})
	if err != nil {
		return err
	}
	r.tracerPart = r.keep(newPart(func(ctx context.Context) {
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

// keep holds a part until close.
func (r *resources) keep(p *part) *part {
	p.users.Add(1)
	r.parts = append(r.parts, p)
	return p
}

// speak keeps what tells the other replicas of this one.
func (r *resources) speak(end func()) {
	r.voices = append(r.voices, end)
	r.keep(newPart(func(context.Context) { end() }))
}

// silence is for a configuration that was replaced: the next one speaks for this
// replica. Requests may still run under it.
func (r *resources) silence() {
	for _, end := range r.voices {
		end()
	}
}

// close lets go of everything, what was made last first. What must still be
// written is, as long as ctx allows.
func (r *resources) close(ctx context.Context) {
	for _, p := range slices.Backward(r.parts) {
		p.release(ctx)
	}
}
