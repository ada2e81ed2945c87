package gatewaytest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// Attached is `isthmus serve` behind an Envoy that it does not run: the test starts
// one, with StartEnvoy, that listens at Port.
type Attached struct {
	*Gateway
	Port      string // of the clients, at 127.0.0.1
	Processor string // the service's gRPC address, HOST:PORT
	dir       string // of sockets
}

// Serve starts the service until the test ends.
func Serve(t *testing.T, config string) *Attached {
	t.Helper()
	return ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), config)
}

// ServeAt is Serve at an address (HOST:PORT), with flags besides.
func ServeAt(t *testing.T, address, config string, flags ...string) *Attached {
	t.Helper()
	dir, err := os.MkdirTemp("", "isthmus-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	port := asynctest.FreePort(t)
	g := &Gateway{T: t, URL: "http://127.0.0.1:" + port, File: filepath.Join(dir, "config.yaml")}
	g.run(config, append([]string{"serve", "--config", g.File, "--listen", address, "--advertise", address, "--admin", "127.0.0.1:0",
		"--drain-grace", "0s"},
		flags...))
	g.awaitOutput("the service listens", "serves Envoy at "+address)
	g.Admin = "http://" + strings.TrimSpace(strings.SplitN(g.Stdout.String(), "admin at http://", 2)[1])
	return &Attached{Gateway: g, Port: port, Processor: address, dir: dir}
}

// EnvoyConfig is what `isthmus envoy` writes for the service's model config.
func (a *Attached) EnvoyConfig(args ...string) []byte {
	a.T.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Run(a.T.Context(), append([]string{"envoy", "--config", a.File}, args...), &stdout, &stderr); code != 0 {
		a.T.Fatalf("isthmus envoy %v ended with %d: %s", args, code, &stderr)
	}
	return stdout.Bytes()
}

// AdminSocket is the path of the socket where StartEnvoy expects Envoy's admin
// interface.
func (a *Attached) AdminSocket() string { return filepath.Join(a.dir, "envoy.sock") }

// StartEnvoy runs an Envoy of this release with this configuration until the test
// ends, and returns it when it is ready.
func (a *Attached) StartEnvoy(release string, config []byte) *process.Process {
	a.T.Helper()
	p, err := process.Start(envoytest.Envoy(a.T, release), config, process.Options{AdminSocket: a.AdminSocket(), Concurrency: 1})
	if err != nil {
		a.T.Fatal(err)
	}
	a.T.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	})
	ctx, cancel := context.WithTimeout(a.T.Context(), 2*time.Minute)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		a.T.Fatal(err)
	}
	return p
}

// EnvoyAdmin is a page of the admin interface of the Envoy that StartEnvoy has started.
func (a *Attached) EnvoyAdmin(path string) string {
	a.T.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", a.AdminSocket())
		},
	}}
	resp, err := client.Get("http://envoy" + path)
	if err != nil {
		a.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.T.Fatal(err)
	}
	return string(text)
}

// SocketAddress is HOST:PORT as Envoy's configuration has it.
func SocketAddress(t testing.TB, at string) *corev3.Address {
	t.Helper()
	host, text, _ := strings.Cut(at, ":")
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
