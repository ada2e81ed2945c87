package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// resources are what the request path leans on: the cache, the counters.
type resources struct {
	cache  *cache.Cache // nil: off
	tokens *tokens.Counter

	closers []func(context.Context) // in the order of their making
}

// newResources makes what the config asks for. close must be called.
func newResources(c *config.Config, log *slog.Logger) (*resources, error) {
	r := &resources{tokens: tokens.New()}
	go r.tokens.Warm() // off the path of the first request; it ends by itself
	if err := r.openCache(c.Cache, log); err != nil {
		r.close(context.Background())
		return nil, err
	}
	return r, nil
}

func (r *resources) openCache(c config.Cache, log *slog.Logger) error {
	if !c.Enabled {
		return nil
	}
	types, unknown := cache.ReadCallTypes(c.CallTypes)
	for _, name := range unknown {
		log.Warn("cache_params.supported_call_types: no call of this type is cached", "type", name)
	}
	local, err := cache.NewLocal(c.MaxSize)
	if err != nil {
		return fmt.Errorf("open the cache: %w", err)
	}
	r.onClose(func(context.Context) { local.Close() })
	r.cache = cache.New(cache.Config{
		Blobs: local, Namespace: c.Namespace, TTL: c.TTL, MaxEntry: c.MaxEntrySize, OptIn: c.OptIn, CallTypes: types,
	})
	r.onClose(func(ctx context.Context) { _ = r.cache.Close(ctx) })
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
