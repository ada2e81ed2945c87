package xds

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/log"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"

	"github.com/isthmus-proxy/isthmus/envoy"
)

// Server answers CDS and RDS. It is safe for concurrent use.
type Server struct {
	snapshots cache.SnapshotCache

	setting sync.Mutex       // one Set at a time
	good    *envoy.Resources // what every Envoy took last; nil: nothing yet

	mu      sync.Mutex
	version int
	streams map[int64]*stream
	changed chan struct{} // closed and made anew when a stream changes
}

// stream is what an Envoy has said on one.
type stream struct {
	sent    string // version of the last answer
	taken   string // version in force there
	refused string // version that it did not take, and
	why     error
}

// oneNode: all Envoys that ask get the same.
type oneNode struct{}

const node = "isthmus"

func (oneNode) ID(*corev3.Node) string { return node }

// New returns a Server that has nothing to give yet.
func New() *Server {
	return &Server{
		snapshots: cache.NewSnapshotCache(false, oneNode{}, log.LoggerFuncs{}),
		streams:   map[int64]*stream{}, changed: make(chan struct{}),
	}
}

// Register adds the service to a gRPC server. ctx ends its streams.
func (s *Server) Register(ctx context.Context, g grpc.ServiceRegistrar) {
	x := server.NewServer(ctx, s.snapshots, server.CallbackFuncs{
		StreamOpenFunc:     s.opened,
		StreamClosedFunc:   func(id int64, _ *corev3.Node) { s.update(func() { delete(s.streams, id) }) },
		StreamRequestFunc:  s.onRequest,
		StreamResponseFunc: s.answered,
	})
	clusterservice.RegisterClusterDiscoveryServiceServer(g, x)
	routeservice.RegisterRouteDiscoveryServiceServer(g, x)
}

// Set gives every Envoy these resources instead of what it has, and waits until all
// that are connected have taken them. When one refuses them, or ctx ends before,
// all get back what they had before; the error has Envoy's reason.
func (s *Server) Set(ctx context.Context, r *envoy.Resources) error {
	s.setting.Lock()
	defer s.setting.Unlock()
	version, err := s.put(ctx, r)
	if err == nil {
		err = s.wait(ctx, version)
	}
	if err == nil {
		s.good = r
		return nil
	}
	if s.good != nil {
		_, undo := s.put(context.WithoutCancel(ctx), s.good)
		err = errors.Join(err, undo)
	}
	return err
}

// Taken waits until all Envoys that are connected have taken what was set last. The
// error has the reason of one that refuses it.
func (s *Server) Taken(ctx context.Context) error {
	s.mu.Lock()
	version := strconv.Itoa(s.version)
	s.mu.Unlock()
	return s.wait(ctx, version)
}

// put offers resources under the next version, which it returns.
func (s *Server) put(ctx context.Context, r *envoy.Resources) (string, error) {
	s.mu.Lock()
	s.version++
	version := strconv.Itoa(s.version)
	s.mu.Unlock()
	clusters := make([]types.Resource, len(r.Clusters))
	for i, c := range r.Clusters {
		clusters[i] = c
	}
	snapshot, err := cache.NewSnapshot(version, map[resource.Type][]types.Resource{
		resource.ClusterType: clusters, resource.RouteType: {r.Routes},
	})
	if err == nil {
		err = s.snapshots.SetSnapshot(ctx, node, snapshot)
	}
	if err != nil {
		return "", fmt.Errorf("tell Envoy its clusters: %w", err)
	}
	return version, nil
}

// wait waits until every stream has taken a version, or one has refused it.
func (s *Server) wait(ctx context.Context, version string) error {
	for {
		s.mu.Lock()
		done, err := true, error(nil)
		for _, each := range s.streams {
			if each.refused == version {
				err = each.why
			}
			done = done && each.taken == version
		}
		changed := s.changed
		s.mu.Unlock()
		if err != nil || done {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("tell Envoy its clusters: no word from it: %w", context.Cause(ctx))
		}
	}
}

// update changes what is known of the streams.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) opened(_ context.Context, id int64, _ string) error {
	s.update(func() { s.streams[id] = &stream{} })
	return nil
}

// onRequest reads what Envoy makes of the last answer: each request after the first is
// its word on it.
func (s *Server) onRequest(id int64, request *discoveryv3.DiscoveryRequest) error {
	s.update(func() {
		each := s.streams[id]
		if each == nil {
			return
		}
		each.taken = request.GetVersionInfo()
		if detail := request.GetErrorDetail(); detail != nil {
			//lint:ignore ST1005 Envoy is a name
			each.refused, each.why = each.sent, fmt.Errorf("Envoy refuses its clusters or routes: %s", detail.GetMessage())
		}
	})
	return nil
}

func (s *Server) answered(_ context.Context, id int64, _ *discoveryv3.DiscoveryRequest, answer *discoveryv3.DiscoveryResponse) {
	s.update(func() {
		if each := s.streams[id]; each != nil {
			each.sent = answer.GetVersionInfo()
		}
	})
}
