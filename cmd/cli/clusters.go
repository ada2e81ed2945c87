package cli

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/xds"
)

// managedClusters are the clusters of an Envoy that isthmus runs: those of every
// configuration that requests run under. Safe for concurrent use.
type managedClusters struct {
	xds     *xds.Server
	version envoy.Version
	log     *slog.Logger

	mu   sync.Mutex
	live []*loaded // that requests run under; the newest last
}

func (o *managedClusters) add(ctx context.Context, cfg *loaded) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	live := append(slices.Clone(o.live), cfg)
	if err := o.set(ctx, live); err != nil {
		return err
	}
	o.live = live
	return nil
}

// remove only logs a failure: clusters that stay are unused.
func (o *managedClusters) remove(ctx context.Context, cfg *loaded) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live = slices.DeleteFunc(o.live, func(each *loaded) bool { return each == cfg })
	if err := o.set(ctx, o.live); err != nil {
		o.log.Warn("upstream clusters that no request uses stay in Envoy", "error", err)
	}
}

func (o *managedClusters) set(ctx context.Context, live []*loaded) error {
	r, err := envoy.NewResources(union(live, o.version))
	if err != nil {
		return err
	}
	return o.xds.Set(ctx, r)
}

// union is the newest configuration's input with the clusters, orders and idle
// timeouts that only older ones have. A name that both have is the newest one's.
func union(live []*loaded, version envoy.Version) envoy.Input {
	in := live[len(live)-1].input(version)
	has, at := map[string]bool{}, map[string]int{}
	for i, u := range in.Upstreams {
		at[u.Cluster] = i
	}
	for _, o := range in.Orders {
		has[o.Name] = true
	}
	for _, cfg := range slices.Backward(live[:len(live)-1]) {
		older := cfg.input(version)
		for _, u := range older.Upstreams {
			i, known := at[u.Cluster]
			if !known {
				at[u.Cluster] = len(in.Upstreams)
				in.Upstreams = append(in.Upstreams, u)
			} else if newer := &in.Upstreams[i]; newer.StreamCluster == "" {
				newer.StreamCluster, newer.StreamTimeout = u.StreamCluster, u.StreamTimeout
			}
		}
		for _, o := range older.Orders {
			if !has[o.Name] {
				has[o.Name] = true
				in.Orders = append(in.Orders, o)
			}
		}
		in.IdleTimeouts = append(in.IdleTimeouts, older.IdleTimeouts...)
	}
	slices.SortFunc(in.IdleTimeouts, func(a, b time.Duration) int { return int(a - b) })
	in.IdleTimeouts = slices.Compact(in.IdleTimeouts)
	return in
}

// externalClusters are the clusters of an Envoy that somebody else runs and must
// configure before the service takes up a configuration. It only warns.
type externalClusters struct {
	log   *slog.Logger
	known map[string]bool // names already warned of; used by the reloader's goroutine alone
}

func (t *externalClusters) add(_ context.Context, cfg *loaded) error {
	if fresh := t.learn(cfg); len(fresh) > 0 {
		t.log.Warn("Envoy must have these upstream clusters, or requests sent there fail: `isthmus envoy` writes them", "clusters", fresh)
	}
	return nil
}

// learn returns the names of a configuration's clusters that were not known, which
// are from now on.
func (t *externalClusters) learn(cfg *loaded) []string {
	var fresh []string
	for _, u := range cfg.input(envoy.Default).Upstreams {
		for _, name := range []string{u.Cluster, u.StreamCluster} {
			if name != "" && !t.known[name] {
				t.known[name] = true
				fresh = append(fresh, name)
			}
		}
	}
	return fresh
}

func (t *externalClusters) remove(context.Context, *loaded) {}

// newExternalClusters does not warn of the clusters that the service starts with.
func newExternalClusters(cfg *loaded, log *slog.Logger) *externalClusters {
	t := &externalClusters{log: log, known: map[string]bool{}}
	t.learn(cfg)
	return t
}
