package attach

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// traffic is what became of the requests of several clients, each of which sends one
// after the other until stop.
type traffic struct {
	good   atomic.Int64
	stop   func() // waits for the last answers; idempotent
	mu     sync.Mutex
	failed []string
}

// send begins the traffic of n clients to a gateway; body is that of client i's requests.
func send(t *testing.T, g *gatewaytest.Gateway, n int, body func(i int) string) *traffic {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &traffic{}
	var clients sync.WaitGroup
	f.stop = sync.OnceFunc(func() { cancel(); clients.Wait() })
	t.Cleanup(f.stop)
	for i := range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				f.count(g.Post("/v1/chat/completions", body(i)))
			}
		})
	}
	return f
}

// count notes an answer. A stream is whole when it ends as OpenAI's do.
func (f *traffic) count(a *gatewaytest.Answer) {
	stream := strings.HasPrefix(a.Header.Get("Content-Type"), "text/event-stream")
	if a.Status == 200 && a.Err == nil && (!stream || strings.HasSuffix(a.Body, "data: [DONE]\n\n")) {
		f.good.Add(1)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = append(f.failed, fmt.Sprintf("%d %v %.200s", a.Status, a.Err, a.Body))
}

// more waits for n good answers more.
func (f *traffic) more(t *testing.T, n int64) {
	t.Helper()
	before := f.good.Load()
	asynctest.Await(t, fmt.Sprintf("%d answers more", n), func() bool { return f.good.Load() >= before+n || f.failures() > 0 })
}

func (f *traffic) failures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.failed)
}

// noneFailed fails the test if any has.
func (f *traffic) noneFailed(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.failed); n > 0 {
		t.Errorf("%d requests failed and %d did not: %q", n, f.good.Load(), f.failed[:min(4, n)])
	}
}

// fleet are replicas of the service, and one Envoy of this release in front of all.
// edit may change what `isthmus envoy` wrote for it; nil: nothing.
func fleet(t *testing.T, release, config string, n int, edit func(*bootstrapv3.Bootstrap), flags ...string) []*gatewaytest.Attached {
	t.Helper()
	var all []*gatewaytest.Attached
	var addresses []string
	for range n {
		addresses = append(addresses, "127.0.0.1:"+asynctest.FreePort(t))
	}
	for _, a := range addresses {
		all = append(all, gatewaytest.ServeAt(t, a, config, append([]string{"--peers", strings.Join(addresses, ",")}, flags...)...))
	}
	inFront(t, all, release, strings.Join(addresses, ","), edit)
	return all
}

// inFront starts an Envoy that finds all of the replicas at these addresses.
func inFront(t *testing.T, all []*gatewaytest.Attached, release, addresses string, edit func(*bootstrapv3.Bootstrap)) {
	t.Helper()
	a := all[0]
	boot := envoytest.Bootstrap(t, a.EnvoyConfig("--envoy-version", release, "--listen", "127.0.0.1:"+a.Port,
		"--admin", "unix://"+a.AdminSocket(), "--processor", addresses, "--access-log", ""))
	if edit != nil {
		edit(boot)
	}
	a.StartEnvoy(release, envoytest.YAML(t, boot))
	for _, other := range all[1:] {
		other.URL = a.URL
	}
}

// held is a provider whose streams for the question "slow" have begun and do not end
// until release.
func held(t *testing.T) (p *gatewaytest.Provider, release func()) {
	t.Helper()
	gate := make(chan struct{})
	p = gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, `"slow"`) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n")
			gatewaytest.Flush(w)
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		gatewaytest.OpenAI(w, r, body)
	})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return p, release
}

// mixed are the requests of a fleet's clients: blocking ones, streams, and those whose
// first deployment fails.
func mixed(i int) string {
	switch i % 4 {
	case 0:
		return gatewaytest.AskStream
	case 1:
		return gatewaytest.ForModel("falls over", gatewaytest.Ask)
	}
	return gatewaytest.Ask
}

func mixedModels(t *testing.T, good *gatewaytest.Provider) string {
	t.Helper()
	return "model_list:\n" + gatewaytest.Entry("m", good.Base(), "") +
		gatewaytest.Entry("falls over", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1") +
		gatewaytest.Entry("falls over", good.Base(), ", order: 2") +
		"router_settings: {num_retries: 2, cooldown_time: 0, retry_budget_percent: 1000}\n"
}

// unchecked takes the health checks out of an Envoy's configuration.
func unchecked(boot *bootstrapv3.Bootstrap) {
	for _, c := range boot.GetStaticResources().GetClusters() {
		c.HealthChecks, c.CommonLbConfig = nil, nil
	}
}

// TestADrainingReplicaFailsNoRequest, neither of those that run nor of those that come
// until it has ended: a signal to one of two replicas.
func TestADrainingReplicaFailsNoRequest(t *testing.T) {
	type place struct {
		release string
		edit    func(*bootstrapv3.Bootstrap)
		grace   string
	}
	cases := map[string]place{
		// Nothing but GOAWAY tells this Envoy, in the midst of its streams.
		"without health checks and grace": {"1.40.0", unchecked, "0s"},
	}
	for _, release := range envoytest.Releases() {
		cases["Envoy "+release] = place{release, nil, "1s"}
		cases["Envoy "+release+" without grace"] = place{release, nil, "0s"}
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good, release := held(t)
			both := fleet(t, tc.release, mixedModels(t, good), 2, tc.edit, "--drain-grace", tc.grace)
			streams := make(chan *gatewaytest.Answer, 6)
			for range cap(streams) {
				go func() {
					streams <- both[0].Post("/v1/chat/completions", strings.Replace(gatewaytest.AskStream, `"hi"`, `"slow"`, 1))
				}()
			}
			asynctest.Await(t, "the streams run", func() bool { return len(good.Calls()) == cap(streams) })
			f := send(t, both[0].Gateway, 4, mixed)
			f.more(t, 40)
			both[1].Cancel()
			asynctest.Await(t, "it drains", func() bool { return strings.Contains(both[1].Stderr.String(), "draining") })
			f.more(t, 100)
			release()
			for range cap(streams) {
				f.count(<-streams)
			}
			if code := both[1].Stop(); code != 0 {
				t.Errorf("the replica ended with %d", code)
			}
			f.more(t, 40)
			f.stop()
			f.noneFailed(t)
		})
	}
}

// serviceIP stands for the address of a Kubernetes Service: each connection goes to
// the replica that it leads to at that moment, and stays there.
func serviceIP(t *testing.T, first string) (address string, leadTo func(string)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var to atomic.Value
	to.Store(first)
	var open sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); open.Wait() })
	open.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to.Load().(string))
			if err != nil {
				_ = client.Close()
				continue
			}
			both := sync.OnceFunc(func() { _, _ = client.Close(), server.Close() })
			t.Cleanup(both)
			open.Go(func() { defer both(); _, _ = io.Copy(client, server) })
			open.Go(func() { defer both(); _, _ = io.Copy(server, client) })
		}
	})
	return l.Addr().String(), func(address string) { to.Store(address) }
}

// TestConnectionsLeaveADrainingReplicaBehindAServicesAddress: Envoy knows one address,
// whose health says nothing of the next connection.
func TestConnectionsLeaveADrainingReplicaBehindAServicesAddress(t *testing.T) {
	t.Parallel()
	good, release := held(t)
	release()
	ports := []string{"127.0.0.1:" + asynctest.FreePort(t), "127.0.0.1:" + asynctest.FreePort(t)}
	config := mixedModels(t, good)
	var both []*gatewaytest.Attached
	for _, at := range ports {
		both = append(both, gatewaytest.ServeAt(t, at, config, "--peers", strings.Join(ports, ",")))
	}
	address, leadTo := serviceIP(t, ports[1])
	inFront(t, both, "1.40.0", address, nil)
	f := send(t, both[0].Gateway, 4, mixed)
	f.more(t, 40)
	leadTo(ports[0]) // Kubernetes takes the pod out, then it gets its signal
	if code := both[1].Stop(); code != 0 {
		t.Errorf("the replica ended with %d", code)
	}
	f.more(t, 40)
	f.stop()
	f.noneFailed(t)
	if both[0].Streams("request") == 0 {
		t.Error("the replica that is left had no request")
	}
}

// health is what Envoy knows of the health of a replica, in each of the service's clusters.
func health(t *testing.T, a *gatewaytest.Attached, address string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(a.EnvoyAdmin("/clusters")) {
		cluster, rest, _ := strings.Cut(strings.TrimSpace(line), "::"+address+"::")
		if flags, ok := strings.CutPrefix(rest, "health_flags::"); ok {
			out[cluster] = flags
		}
	}
	return out
}

// out reports whether the health checks have taken a replica out everywhere.
func out(h map[string]string) bool {
	return strings.Contains(h[envoy.ProcessorCluster], "failed_active_hc") && strings.Contains(h[envoy.AttemptsCluster], "failed_active_hc")
}

func TestAnIdleEnvoyHearsOfADrainByItsHealthChecks(t *testing.T) {
	t.Parallel()
	both := fleet(t, "1.40.0", mixedModels(t, gatewaytest.NewProvider(t, gatewaytest.OpenAI)), 2, nil, "--drain-grace", "3s")
	both[1].Cancel()
	asynctest.Await(t, "Envoy has taken it out", func() bool { return out(health(t, both[0], both[1].Processor)) })
	for i := range 8 {
		if got := both[0].Post("/v1/chat/completions", mixed(i)); got.Status != 200 {
			t.Errorf("%d: %s", got.Status, got.Body)
		}
	}
	if h := health(t, both[0], both[0].Processor); h[envoy.ProcessorCluster] != "healthy" || h[envoy.AttemptsCluster] != "healthy" {
		t.Errorf("the other one is %v", h)
	}
}

// TestTheOnlyReplicaServesWhileItDrains, although its health says no: there is none to
// go to.
func TestTheOnlyReplicaServesWhileItDrains(t *testing.T) {
	t.Parallel()
	a := gatewaytest.ServeAt(t, "127.0.0.1:"+asynctest.FreePort(t), mixedModels(t, gatewaytest.NewProvider(t, gatewaytest.OpenAI)),
		"--drain-grace", "25s") // health checks take 3 s, the requests after them a while
	nobody := strings.TrimSuffix(strings.TrimPrefix(gatewaytest.RefusedAddress(t), "http://"), "/v1")
	inFront(t, []*gatewaytest.Attached{a}, "1.40.0", a.Processor+","+nobody, nil)
	f := send(t, a.Gateway, 2, mixed)
	f.more(t, 10)
	a.Cancel()
	asynctest.Await(t, "Envoy has heard of it", func() bool { return out(health(t, a, a.Processor)) })
	f.more(t, 20)
	f.stop()
	f.noneFailed(t)
}
