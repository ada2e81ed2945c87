package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/xds"
	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/admin"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
)

// service is the running ext_proc server and its admin port.
type service struct {
	runtime      *extproc.Runtime
	processor    *extproc.Server
	port         *handover
	security     *portSecurity
	maxBody      int64        // bytes of a request body
	grpc         *grpc.Server // of the connections of port
	former       *grpc.Server // of those of before the drain; nil: there was none
	admin        *http.Server
	adminHandler *admin.Handler
	adminAt      net.Addr   // nil: there is no admin port
	failed       chan error // receives the error of a listener that ended by itself
	closers      []func()   // called by stop, in this order
	ballast      []byte     // keeps newBallast's memory reachable
	peers        *peer.Set
	replica      string // where other replicas reach this one; "": they do not

	metrics      *metrics.Metrics
	envoyVersion string // of the Envoy in front; "": unknown

	current  *activeConfig  // in force; changed by one goroutine at a time
	retiring sync.WaitGroup // replaced configurations that are not yet closed
	ending   chan struct{}  // closed when those must close at once
}

// grpcOptions are the options of the service's gRPC server, but for its callers'
// credentials. maxBody is the limit of a request body in bytes.
func grpcOptions(maxBody int64) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(wire.Codec()),
		grpc.MaxRecvMsgSize(int(2*maxBody) + messageRoom), // Envoys before 1.38 need twice the limit
		grpc.MaxSendMsgSize(int(maxBody) + messageRoom),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.InitialWindowSize(16 << 20), grpc.InitialConnWindowSize(64 << 20),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(connectTime),
		// Finds an Envoy that vanished, whose requests are then finished, and
		// closes connections that open no stream.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second, MaxConnectionIdle: 10 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Reused goroutines: a new one would grow its stack again for each request.
		// Streams beyond their number get goroutines of their own.
		grpc.NumStreamWorkers(streamWorkers),
	}
}

// Bounds of the service's port, far above what an Envoy needs.
const (
	maxMetadata = 32 << 10         // bytes of a stream's metadata
	maxStreams  = 100_000          // open on one connection, as many as Envoy lets clients in
	connectTime = 10 * time.Second // until a connection has said that it speaks HTTP/2
)

// flushTime is how long writing what is left may take at the end.
const flushTime = 20 * time.Second

// settleTime is how long requests that the end of the service cut off may take until
// their records are written: they may wait for Envoy's access log entry.
const settleTime = 3 * time.Second

// streamWorkers is the number of reused goroutines that serve streams.
const streamWorkers = 64

// messageRoom is by how many bytes a gRPC message may be larger than a request body:
// headers and framing.
const messageRoom = 4 << 20

// serviceOptions say where a service listens and whom it works with.
type serviceOptions struct {
	Listen  envoy.Address // of the gRPC port for Envoy's filters and other replicas
	Admin   string        // address of the admin port; "": none
	Replica string        // where other replicas reach this one; "": they do not
	Port    *portSecurity // who may use Listen; nil: everybody, for a socket of our own

	EnvoyVersion string // of the Envoy in front; "": unknown
	// Peers returns the addresses of replicas that are known without a Redis; nil:
	// there are none.
	Peers func(context.Context) ([]string, error)
	// Clusters serves Envoy's clusters and routes; nil: Envoy has them from elsewhere.
	Clusters *xds.Server
}

// startService serves a configuration. Its ports are bound when it returns; stop
// must be called.
func startService(cfg *loaded, o serviceOptions, log *slog.Logger) (*service, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := metrics.New(registry, buildVersion())
	runtime := extproc.NewRuntime(m, log)
	if o.Port == nil {
		o.Port = &portSecurity{}
	}
	l, err := bind(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for Envoy at %s: %w", o.Listen, err)
	}
	built, err := newResources(cfg.config, cfg.hooks, runtime.Guard(), log, nil)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	runtime.Trace(built.tracer)
	s := &service{
		runtime: runtime, failed: make(chan error, 2), ballast: newBallast(), metrics: m, envoyVersion: o.EnvoyVersion,
		ending: make(chan struct{}), port: newHandover(limitConnections(l)), security: o.Port, maxBody: cfg.config.MaxRequestBody,
		peers: peer.NewSet(peer.Options{Dial: o.Port.dial, Log: log, Guard: runtime.Guard()}), replica: o.Replica,
		adminHandler: admin.NewHandler(runtime, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})),
	}
	s.activate(cfg, built)
	s.processor = extproc.NewServer(runtime, o.Replica, s.peers, log)
	s.closers = append(s.closers, s.processor.Close, s.peers.Close, o.Port.watch(log, runtime.Guard()))
	if o.Peers != nil {
		s.closers = append(s.closers, s.peers.Follow("--peers", o.Peers))
	}
	s.grpc = s.newServer(false)
	if o.Clusters != nil {
		ctx, end := context.WithCancel(context.Background())
		o.Clusters.Register(ctx, s.grpc)
		s.closers = append(s.closers, end)
	}
	s.serveGRPC(s.grpc)
	go s.serve("the port for Envoy", s.port.run)
	if o.Admin == "" {
		return s, nil
	}
	al, err := net.Listen("tcp", o.Admin)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("listen for the admin port at %s: %w", o.Admin, err)
	}
	s.adminAt = al.Addr()
	s.admin = &http.Server{
		Handler:           s.adminHandler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	go s.serve("the admin port", func() error { return s.admin.Serve(al) })
	return s, nil
}

// newServer is a gRPC server of the service's port; late: of connections that are
// opened while the service drains, see leave.
func (s *service) newServer(late bool) *grpc.Server {
	interceptors := []grpc.StreamServerInterceptor{s.processor.Admit(&s.security.secrets)}
	if late {
		interceptors = append(interceptors, s.processor.LateConnection)
	}
	g := grpc.NewServer(append(grpcOptions(s.maxBody), grpc.Creds(s.security.server()), grpc.ChainStreamInterceptor(interceptors...))...)
	s.processor.Register(g)
	return g
}

// serveGRPC lets a server have the connections of the port from now on.
func (s *service) serveGRPC(g *grpc.Server) {
	l := s.port.listen()
	go s.serve("the ext_proc service", func() error { return g.Serve(l) })
}

// adminNotice is the URL of the admin port after this prefix; "" without one.
func (s *service) adminNotice(prefix string) string {
	if s.adminAt == nil {
		return ""
	}
	return prefix + "http://" + s.adminAt.String()
}

func (s *service) serve(name string, serve func() error) {
	if err := s.runtime.Guard().Call(name, serve); err != nil && !errors.Is(err, http.ErrServerClosed) &&
		!errors.Is(err, grpc.ErrServerStopped) {
		s.failed <- fmt.Errorf("%s ended: %w", name, err)
	}
}

// bind listens. A socket file that a killed process left is replaced; one that
// another process serves is an error.
func bind(a envoy.Address) (net.Listener, error) {
	if a.Path == "" {
		return net.Listen("tcp", a.String())
	}
	c, err := net.DialTimeout("unix", a.Path, time.Second)
	if err == nil {
		_ = c.Close()
		return nil, errors.New("another process serves there")
	}
	is, missing := os.Lstat(a.Path)
	switch {
	case missing != nil:
	case is.Mode().Type() != os.ModeSocket:
		return nil, errors.New("there is something that is no socket: name another path")
	case errors.Is(err, syscall.ECONNREFUSED): // its process has ended
		_ = os.Remove(a.Path)
	}
	return net.Listen("unix", a.Path)
}

// stop ends the service: its ports first, then the open requests, and last what
// is flushed. It must be called once.
func (s *service) stop() {
	s.port.close()
	s.grpc.Stop()
	if s.former != nil {
		s.former.Stop()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	for _, f := range s.closers {
		f()
	}
	settled, done := context.WithTimeout(context.Background(), settleTime)
	defer done()
	s.runtime.Refuse()
	s.awaitIdle(settled)
	close(s.ending)
	s.retiring.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	s.current.resources.close(ctx)
}
