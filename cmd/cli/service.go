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
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
)

// service is the running ext_proc server and its admin port.
type service struct {
	runtime *extproc.Runtime
	grpc    *grpc.Server
	admin   *http.Server
	adminAt net.Addr   // nil: there is no admin port
	failed  chan error // a listener that broke
	closers []func()
	ballast []byte // see newBallast
	peers   *peer.Set
	replica string // where other replicas reach this one; ""

	counts *metrics.Metrics
	front  string // version of the Envoy in front

	current  *generation    // changed by one goroutine at a time
	retiring sync.WaitGroup // those before it that requests still run under
	ending   chan struct{}  // closed when they need not be waited for
}

// grpcOptions are what the service asks of its port, beside who may use it.
func grpcOptions(maxBody int64) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(extproc.Codec()),
		grpc.MaxRecvMsgSize(int(2*maxBody) + messageRoom), // Envoys before 1.38 need twice the limit
		grpc.MaxSendMsgSize(int(maxBody) + messageRoom),
		grpc.MaxHeaderListSize(maxMetadata),
		grpc.InitialWindowSize(16 << 20), grpc.InitialConnWindowSize(64 << 20),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(connectTime),
		// What an Envoy held that is gone without a word is given back.
		// Who opens a connection and asks nothing does not keep it.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second, MaxConnectionIdle: 10 * time.Minute}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		// Goroutines that are kept: a new one would grow its stack anew for each
		// request. More streams than these get goroutines of their own.
		grpc.NumStreamWorkers(streamWorkers),
	}
}

// Bounds of the service's port, which Envoy does not come near.
const (
	maxMetadata = 32 << 10         // bytes of a stream's metadata
	maxStreams  = 100_000          // open on one connection, as many as Envoy lets clients in
	connectTime = 10 * time.Second // until a connection has said that it speaks HTTP/2
)

// flushTime is how long writing what is left may take at the end.
const flushTime = 20 * time.Second

// settleTime is how long requests that were cut off at the end may take to be
// settled: Envoy's word on them may be waited for.
const settleTime = 3 * time.Second

// streamWorkers is how many goroutines serve streams again and again.
const streamWorkers = 64

// messageRoom is what a gRPC message may be larger than a request body: headers
// and framing.
const messageRoom = 4 << 20

// places are the addresses of a service.
type places struct {
	Envoy   envoy.Address // where Envoy's filters come in
	Admin   string        // HTTP; "" for none
	Replica string        // where other replicas reach this one; "" when there are none
	Front   string        // version of the Envoy in front; "": unknown
	Port    *portSecurity // of the first; nil: none, for a socket of our own
	// Peers says the addresses of replicas that are known without a Redis; nil: none.
	Peers func(context.Context) ([]string, error)

	Clusters *xds.Server // from which that Envoy has its clusters; nil: it has them from elsewhere
}

// startService serves a gateway at these places, which are bound when it
// returns.
func startService(g *gateway, at places, log *slog.Logger) (*service, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	counts := metrics.New(registry, buildVersion())
	runtime := extproc.NewRuntime(counts, log)
	if at.Port == nil {
		at.Port = &portSecurity{}
	}
	l, err := bind(at.Envoy)
	if err != nil {
		return nil, fmt.Errorf("listen for Envoy at %s: %w", at.Envoy, err)
	}
	with, err := newResources(g.config, g.hooks, runtime.Guard(), log, nil)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	runtime.Trace(with.tracer)
	s := &service{
		runtime: runtime, failed: make(chan error, 2), ballast: newBallast(), counts: counts, front: at.Front, ending: make(chan struct{}),
		peers: peer.NewSet(peer.Options{Dial: at.Port.dial, Log: log, Guard: runtime.Guard()}), replica: at.Replica,
	}
	s.use(g, with)
	processor := extproc.NewServer(runtime, at.Replica, s.peers, log)
	s.closers = append(s.closers, processor.Close, s.peers.Close, at.Port.watch(log, runtime.Guard()))
	if at.Peers != nil {
		s.closers = append(s.closers, s.peers.Follow("--peers", at.Peers))
	}
	s.grpc = grpc.NewServer(append(grpcOptions(g.config.MaxRequestBody), grpc.Creds(at.Port.server()),
		grpc.StreamInterceptor(processor.Admit(&at.Port.secrets)))...)
	processor.Register(s.grpc)
	if at.Clusters != nil {
		ctx, end := context.WithCancel(context.Background())
		at.Clusters.Register(ctx, s.grpc)
		s.closers = append(s.closers, end)
	}
	go s.serve("the ext_proc service", func() error { return s.grpc.Serve(limited(l)) })
	if at.Admin == "" {
		return s, nil
	}
	al, err := net.Listen("tcp", at.Admin)
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("listen for the admin port at %s: %w", at.Admin, err)
	}
	s.adminAt = al.Addr()
	s.admin = &http.Server{
		Handler:           extproc.Admin(runtime, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	go s.serve("the admin port", func() error { return s.admin.Serve(al) })
	return s, nil
}

// tellAdmin says, after these words, where the admin port is; nothing where there
// is none.
func (s *service) tellAdmin(words string) string {
	if s.adminAt == nil {
		return ""
	}
	return words + "http://" + s.adminAt.String()
}

func (s *service) serve(name string, serve func() error) {
	if err := s.runtime.Guard().Call(name, serve); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		s.failed <- fmt.Errorf("%s ended: %w", name, err)
	}
}

// bind listens; a socket file that a killed process left is taken over, one
// that somebody answers at is not.
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
	case errors.Is(err, syscall.ECONNREFUSED): // nobody's any more
		_ = os.Remove(a.Path)
	}
	return net.Listen("unix", a.Path)
}

// drainPoll is how often open requests are counted while draining.
const drainPoll = 20 * time.Millisecond

// drain waits until no request is open, or ctx ends.
func (s *service) drain(ctx context.Context) {
	s.runtime.Drain()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for s.runtime.Open() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// stop ends the service.
func (s *service) stop() {
	s.grpc.Stop()
	if s.admin != nil {
		_ = s.admin.Close()
	}
	for _, f := range s.closers {
		f()
	}
	settled, done := context.WithTimeout(context.Background(), settleTime)
	defer done()
	s.drain(settled)
	close(s.ending)
	s.retiring.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	s.current.with.close(ctx)
}
