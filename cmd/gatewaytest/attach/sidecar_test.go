package attach

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
	"github.com/isthmus-proxy/isthmus/envoy/process"
)

// sidecar is an Envoy with this admin socket that speaks HTTP/2 at the first port and passes
// everything on to the second, as the proxy in a pod of a mesh does.
const sidecar = `
admin: {address: {pipe: {path: %s}}}
static_resources:
  listeners:
  - name: inbound
    address: {socket_address: {address: 127.0.0.1, port_value: %s}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          codec_type: HTTP2
          stream_idle_timeout: 0s
          route_config:
            virtual_hosts: [{name: inbound, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: app, timeout: 0s}}]}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]
`

// startSidecar puts such an Envoy in front of the service until the test ends, at the
// address that it returns.
func startSidecar(t *testing.T, a *gatewaytest.Attached, release string) string {
	t.Helper()
	port := asynctest.FreePort(t)
	_, app, _ := strings.Cut(a.Processor, ":")
	admin := a.AdminSocket() + "-sidecar"
	p, err := process.Start(envoytest.Envoy(t, release), fmt.Appendf(nil, sidecar, admin, port, app),
		process.Options{AdminSocket: admin, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.Stop(ctx)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := p.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

// TestASidecarMayStandInFrontOfTheService: the names of Istio's clusters, which are the
// :authority of a gRPC stream that says no other, are none to an HTTP/2 server of Envoy.
func TestASidecarMayStandInFrontOfTheService(t *testing.T) {
	for istio, release := range map[string]string{"1.28": "1.36.4", "1.31": "1.39.3"} {
		t.Run(istio, func(t *testing.T) {
			t.Parallel()
			good, shop := gatewaytest.NewProvider(t, gatewaytest.OpenAI), gatewaytest.NewProvider(t, sells)
			a := gatewaytest.Serve(t, "model_list:\n"+
				gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.FailWith(500)).Base(), ", order: 1")+
				gatewaytest.Entry("m", good.Base(), ", order: 2")+"router_settings: {num_retries: 1}\n")
			a.Processor = startSidecar(t, a, release)
			host := shopGateway(a, shop)
			envoytest.ApplyIstio(t, host, a.EnvoyConfig("--format", "istio", "--istio-version", istio, "--domain", "llm.example.com",
				"--namespace", "edge", "--gateway", "edge/public"), istio+".0")
			a.StartEnvoy(release, envoytest.YAML(t, host))
			a.Host = "llm.example.com"
			if got := a.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || got.Body != gatewaytest.GoodAnswer {
				t.Errorf("answer = %d %s", got.Status, got.Body)
			}
			a.Idle()
		})
	}
}
