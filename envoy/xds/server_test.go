package xds_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
	"github.com/isthmus-proxy/isthmus/envoy/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an Envoy that has its clusters from a Server.
type world struct {
	t       *testing.T
	server  *xds.Server
	input   envoy.Input
	process *process.Process
	admin   *http.Client
}

func newWorld(t *testing.T, release string, first *envoy.Resources) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "xds-") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	version, err := envoy.ParseVersion(release)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: xds.New(), input: envoy.Input{
		Version: version, Dynamic: true, Listen: envoy.Address{Host: "127.0.0.1"},
		Admin: envoy.Address{Path: filepath.Join(dir, "admin.sock")}, Processors: []envoy.Address{{Path: filepath.Join(dir, "processor.sock")}},
	}}
	l, err := net.Listen("unix", w.input.Processors[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	ctx, cancel := context.WithCancel(t.Context())
	w.server.Register(ctx, g)
	go func() { _ = g.Serve(l) }()
	t.Cleanup(func() { cancel(); g.Stop() })
	if err := w.server.Set(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	boot, err := envoy.Bootstrap(w.input)
	if err != nil {
		t.Fatal(err)
	}
	w.process, err = process.Start(envoytest.Envoy(t, release), envoytest.YAML(t, boot), process.Options{AdminSocket: w.input.Admin.Path,
		Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.process.Stop(ctx)
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", w.input.Admin.Path)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	w.admin = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	if err := w.process.Ready(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	return w
}

func within(t *testing.T, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("the time of the test"))
	t.Cleanup(cancel)
	return ctx
}

// resources have a cluster for each name.
func resources(t *testing.T, release string, names ...string) *envoy.Resources {
	t.Helper()
	version, err := envoy.ParseVersion(release)
	if err != nil {
		t.Fatal(err)
	}
	in := envoy.Input{Version: version}
	for _, n := range names {
		in.Upstreams = append(in.Upstreams, envoy.Upstream{Cluster: n, Deployment: n, URL: "http://127.0.0.1:1/v1"})
	}
	r, err := envoy.NewResources(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wrong has a cluster of a kind that no Envoy knows.
func wrong(t *testing.T) *envoy.Resources {
	r := resources(t, "1.40.0", "a", "wrong")
	r.Clusters[1].ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "no.such.kind"}}
	return r
}

// has reports which of the names are clusters of Envoy.
func (w *world) has(names ...string) string {
	w.t.Helper()
	resp, err := w.admin.Get("http://envoy/clusters")
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	var found []string
	for _, n := range names {
		if strings.Contains(string(text), "\n"+n+"::") || strings.HasPrefix(string(text), n+"::") {
			found = append(found, n)
		}
	}
	return strings.Join(found, " ")
}

func TestEnvoyHasTheClustersWhenSetReturns(t *testing.T) {
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			w := newWorld(t, release, resources(t, release, "a"))
			if err := w.server.Taken(within(t, 30*time.Second)); err != nil {
				t.Fatal(err)
			}
			for _, step := range []string{"a b", "b", "b c d"} {
				if err := w.server.Set(within(t, 30*time.Second), resources(t, release, strings.Fields(step)...)); err != nil {
					t.Fatal(err)
				}
				if got := w.has("a", "b", "c", "d"); got != step {
					t.Errorf("Envoy has %q, want %q", got, step)
				}
			}
		})
	}
}

func TestWhatEnvoyRefusesIsTakenBack(t *testing.T) {
	w := newWorld(t, "1.40.0", resources(t, "1.40.0", "a"))
	err := w.server.Set(within(t, 30*time.Second), wrong(t))
	if err == nil || !strings.Contains(err.Error(), "no.such.kind") {
		t.Errorf("the error does not have Envoy's reason: %v", err)
	}
	if err := w.server.Taken(within(t, 30*time.Second)); err != nil {
		t.Errorf("the clusters from before: %v", err)
	}
	if got := w.has("a", "wrong"); got != "a" {
		t.Errorf("Envoy has %q, want those from before", got)
	}
	if err := w.server.Set(within(t, 30*time.Second), resources(t, "1.40.0", "a", "b")); err != nil || w.has("a", "b") != "a b" {
		t.Errorf("the next ones: %v; Envoy has %q", err, w.has("a", "b"))
	}
}

func TestAnEnvoyThatRefusesItsFirstClustersIsNoticed(t *testing.T) {
	w := newWorld(t, "1.40.0", wrong(t))
	if err := w.server.Taken(within(t, 30*time.Second)); err == nil || !strings.Contains(err.Error(), "no.such.kind") {
		t.Errorf("the error does not have Envoy's reason: %v", err)
	}
}

func TestAnEnvoyThatDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	w := newWorld(t, "1.40.0", resources(t, "1.40.0", "a"))
	if err := syscall.Kill(w.process.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	err := w.server.Set(within(t, 500*time.Millisecond), resources(t, "1.40.0", "b"))
	if err == nil || !strings.Contains(err.Error(), "no word from it") {
		t.Errorf("an Envoy that is frozen: %v", err)
	}
	if err := syscall.Kill(w.process.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "the clusters from before are there again", func() bool { return w.has("a", "b") == "a" })
}

func TestWithoutAnEnvoyNobodyIsWaitedFor(t *testing.T) {
	s := xds.New()
	if err := s.Set(t.Context(), resources(t, "1.40.0", "a")); err != nil {
		t.Error(err)
	}
	if err := s.Taken(t.Context()); err != nil {
		t.Error(err)
	}
}
