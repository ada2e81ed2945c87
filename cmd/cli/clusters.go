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

// ownClusters are those of an Envoy that we run: it has the upstream clusters of
// all configurations that requests run under.
type ownClusters struct {
	xds     *xds.Server
	version envoy.Version
	log     *slog.Logger

	mu   sync.Mutex
	live []*gateway // the newest last
}

func (o *ownClusters) add(ctx context.Context, g *gateway) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	live := append(slices.Clone(o.live), g)
	if err := o.set(ctx, live); err != nil {
		return err
	}
	o.live = live
	return nil
}

// remove is no request's concern: what stays for want of an answer is unused.
func (o *ownClusters) remove(ctx context.Context, g *gateway) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.live = slices.DeleteFunc(o.live, func(each *gateway) bool { return each == g })
	if err := o.set(ctx, o.live); err != nil {
		o.log.Warn("upstream clusters that nobody uses stay in Envoy", "error", err)
	}
}

func (o *ownClusters) set(ctx context.Context, live []*gateway) error {
	r, err := envoy.NewResources(union(live, o.version))
	if err != nil {
		return err
	}
	return o.xds.Set(ctx, r)
}

// union is the newest configuration with what older ones need besides. Where both
// have a cluster, it is the newest one's.
func union(live []*gateway, version envoy.Version) envoy.Input {
	in := live[len(live)-1].input(version)
	has := map[string]bool{}
	for _, u := range in.Upstreams {
		has[u.Cluster] = true
	}
	for _, o := range in.Orders {
		has[o.Name] = true
	}
	for _, g := range slices.Backward(live[:len(live)-1]) {
		older := g.input(version)
		for _, u := range older.Upstreams {
			if !has[u.Cluster] {
				has[u.Cluster] = true
				in.Upstreams = append(in.Upstreams, u)
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

// theirClusters are those of an Envoy that other people run, which must know the
// clusters of a configuration before it is taken up.
type theirClusters struct {
	log   *slog.Logger
	known map[string]bool // told of already; changed by the one that takes up
}

func (t *theirClusters) add(_ context.Context, g *gateway) error {
	var fresh []string
	for _, u := range g.input(envoy.Default).Upstreams {
		if !t.known[u.Cluster] {
			t.known[u.Cluster] = true
			fresh = append(fresh, u.Cluster)
		}
	}
	if len(fresh) > 0 {
		t.log.Warn("Envoy must have these upstream clusters, or requests sent there fail: `isthmus envoy` writes them", "clusters", fresh)
	}
	return nil
}

func (t *theirClusters) remove(context.Context, *gateway) {}

// newTheirClusters knows those that the service began with.
func newTheirClusters(g *gateway, log *slog.Logger) *theirClusters {
	t := &theirClusters{log: log, known: map[string]bool{}}
	for _, u := range g.input(envoy.Default).Upstreams {
		t.known[u.Cluster] = true
	}
	return t
}
