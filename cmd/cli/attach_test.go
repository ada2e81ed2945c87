package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// attached is `isthmus serve` behind an Envoy that it does not run.
type attached struct {
	*stack
	dir    string // of sockets
	config string // the model config's path
	port   string // of the clients
	grpc   string // of the service
}

// serve starts the service; the Envoy is the caller's.
func serve(t *testing.T, config string) *attached {
	t.Helper()
	return serveAt(t, "127.0.0.1:"+freePort(t), config)
}

// serveAt is serve at an address, with flags besides.
func serveAt(t *testing.T, address, config string, flags ...string) *attached {
	t.Helper()
	dir, err := os.MkdirTemp("", "isthmus-test-") // t.TempDir is too long for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &stack{t: t, file: path, stdout: &output{}, stderr: &output{}, cancel: cancel, exit: make(chan int, 1)}
	a := &attached{stack: s, dir: dir, config: path, port: freePort(t), grpc: address}
	s.url = "http://127.0.0.1:" + a.port
	go func() {
		args := append([]string{"serve", "--config", path, "--listen", a.grpc, "--advertise", a.grpc, "--admin", "127.0.0.1:0"}, flags...)
		s.exit <- dispatch(ctx, args, s.stdout, s.stderr)
	}()
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("stderr:\n%s", s.stderr)
		}
	})
	await(t, time.Minute, "the service is there", func() bool { return strings.Contains(s.stdout.String(), "serves Envoy at "+a.grpc) })
	s.admin = "http://" + strings.TrimSpace(strings.SplitN(s.stdout.String(), "admin at http://", 2)[1])
	return a
}

// envoyConfig is what `isthmus envoy` writes for the service's model config.
func (a *attached) envoyConfig(args ...string) []byte {
	a.t.Helper()
	var stdout, stderr bytes.Buffer
	if code := dispatch(a.t.Context(), append([]string{"envoy", "--config", a.config}, args...), &stdout, &stderr); code != 0 {
		a.t.Fatalf("isthmus envoy %v ended with %d: %s", args, code, &stderr)
	}
	return stdout.Bytes()
}

func (a *attached) adminSocket() string { return filepath.Join(a.dir, "envoy.sock") }

// start runs an Envoy with this configuration until the test ends.
func (a *attached) start(release string, config []byte) {
	a.t.Helper()
	p, err := process.Start(envoytest.Envoy(a.t, release), config, process.Options{AdminSocket: a.adminSocket(), Concurrency: 1})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	})
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		a.t.Fatal(err)
	}
}

func TestAnEnvoyOfItsOwnServesWithServe(t *testing.T) {
	c := newScenarios(t)
	a := serve(t, c.config)
	a.start("1.40.0", a.envoyConfig("--listen", "127.0.0.1:"+a.port, "--admin", "unix://"+a.adminSocket(), "--processor", a.grpc, "--access-log", ""))
	c.run(t, a.stack, false)
}

// TestAnEnvoyWithOtherTrafficServesBoth pastes the parts into an Envoy with a shop.
func TestAnEnvoyWithOtherTrafficServesBoth(t *testing.T) {
	for _, release := range []string{"1.36.4", "1.37.0", "1.40.0"} {
		t.Run(release, func(t *testing.T) {
			c, shop := newScenarios(t), newProvider(t, sells)
			a := serve(t, c.config)
			host := a.gateway(shop)
			envoytest.Paste(t, host, a.envoyConfig("--format", "filters", "--envoy-version", release, "--domain", "llm.example.com", "--processor", a.grpc))
			a.start(release, envoytest.YAML(t, host))
			a.host = "llm.example.com"
			c.run(t, a.stack, strings.HasPrefix(release, "1.36."))
			a.leavesTheShopAlone(shop)
		})
	}
}

// TestAnIstioGatewayServesBoth applies the EnvoyFilter to an Envoy that looks like
// a gateway of each Istio: what istiod would make of it, not istiod itself.
func TestAnIstioGatewayServesBoth(t *testing.T) {
	for istio, release := range map[string]string{"1.28": "1.36.4", "1.29": "1.37.0", "1.30": "1.38.3", "1.31": "1.39.3"} {
		t.Run(istio, func(t *testing.T) {
			c, shop := newScenarios(t), newProvider(t, sells)
			a := serve(t, c.config)
			host := a.gateway(shop)
			manifests := a.envoyConfig("--format", "istio", "--istio-version", istio, "--domain", "llm.example.com", "--namespace", "edge", "--gateway", "edge/public")
			envoytest.ApplyIstio(t, host, manifests, istio+".2")
			a.start(release, envoytest.YAML(t, host))
			a.host = "llm.example.com:443"
			c.run(t, a.stack, istio == "1.28")
			a.leavesTheShopAlone(shop)
		})
	}
}

// gateway is the Envoy with the shop, at the addresses of this test.
func (a *attached) gateway(shop *provider) *bootstrapv3.Bootstrap {
	host := envoytest.Gateway(a.t)
	host.Admin = &bootstrapv3.Admin{Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.adminSocket()}}}}
	host.GetStaticResources().GetListeners()[0].Address = tcp(a.t, "127.0.0.1:"+a.port)
	for _, c := range host.GetStaticResources().GetClusters() {
		at := a.grpc
		if strings.Contains(c.GetName(), "shop") {
			at = strings.TrimPrefix(shop.URL, "http://")
		}
		c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().Address = tcp(a.t, at)
	}
	return host
}

func tcp(t *testing.T, at string) *corev3.Address {
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

// sells is the shop: it has one page.
func sells(w http.ResponseWriter, r *http.Request, _ string) {
	if r.URL.Path != "/" {
		w.Header().Set("X-Isthmus-Retry", "1") // nobody may act on it here
		http.Error(w, "sold out", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, "welcome")
}

// leavesTheShopAlone shows that the other traffic of the Envoy is as it was.
func (a *attached) leavesTheShopAlone(shop *provider) {
	t := a.t
	a.host = "shop.example.com"
	before := a.streams("request") + a.streams("retry") + a.streams("failure")
	if got := a.post("/", "a body"); got.status != 200 || got.body != "welcome" {
		t.Errorf("the shop: %d %s", got.status, got.body)
	}
	if got := a.get("/v1/models", "Authorization", "Bearer of-the-shop"); got.status != 404 || got.body != "sold out\n" || got.header.Get("X-Isthmus-Retry") != "1" {
		t.Errorf("a page the shop does not have: %d %v %s", got.status, got.header, got.body)
	}
	calls := shop.calls()
	if len(calls) != 2 {
		t.Fatalf("the shop was asked %d times", len(calls))
	}
	if h := calls[1].header; h.Get("Authorization") != "Bearer of-the-shop" || h.Get("X-Request-Id") == "" || h.Get("X-Envoy-Attempt-Count") != "1" {
		t.Errorf("the shop got the headers %v", h)
	}
	if n := a.streams("request") + a.streams("retry") + a.streams("failure") - before; n != 0 {
		t.Errorf("isthmus was asked %d times about the shop's requests", n)
	}
	shop.Close()
	if got := a.get("/"); got.status != 503 || strings.Contains(got.body, `"error"`) {
		t.Errorf("a shop that is away: %d %s", got.status, got.body)
	}
	if got := a.get("/health/liveliness"); got.status == 200 {
		t.Error("isthmus answers for the shop")
	}
}
