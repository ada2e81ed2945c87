package attach

import (
	"io"
	"net/http"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

func TestAnEnvoyOfItsOwnServesWithServe(t *testing.T) {
	c := newScenarios(t)
	a := gatewaytest.Serve(t, c.config)
	a.StartEnvoy("1.40.0", a.EnvoyConfig("--listen", "127.0.0.1:"+a.Port, "--admin", "unix://"+a.AdminSocket(), "--processor", a.Processor,
		"--access-log", ""))
	c.run(t, a.Gateway, false)
}

// TestAnEnvoyWithOtherTrafficServesBoth pastes the parts into an Envoy with a shop.
func TestAnEnvoyWithOtherTrafficServesBoth(t *testing.T) {
	for _, release := range []string{"1.36.4", "1.37.0", "1.40.0"} {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			c, shop := newScenarios(t), gatewaytest.NewProvider(t, sells)
			a := gatewaytest.Serve(t, c.config)
			host := shopGateway(a, shop)
			envoytest.Paste(t, host, a.EnvoyConfig("--format", "filters", "--envoy-version", release, "--domain", "llm.example.com", "--processor",
				a.Processor))
			a.StartEnvoy(release, envoytest.YAML(t, host))
			a.Host = "llm.example.com"
			c.run(t, a.Gateway, strings.HasPrefix(release, "1.36."))
			leavesTheShopAlone(a, shop)
		})
	}
}

// TestAnIstioGatewayServesBoth applies the EnvoyFilter to an Envoy that looks like
// a gateway of each Istio: what istiod would make of it, not istiod itself.
func TestAnIstioGatewayServesBoth(t *testing.T) {
	for istio, release := range map[string]string{"1.28": "1.36.4", "1.29": "1.37.0", "1.30": "1.38.3", "1.31": "1.39.3"} {
		t.Run(istio, func(t *testing.T) {
			t.Parallel()
			c, shop := newScenarios(t), gatewaytest.NewProvider(t, sells)
			a := gatewaytest.Serve(t, c.config)
			host := shopGateway(a, shop)
			manifests := a.EnvoyConfig("--format", "istio", "--istio-version", istio, "--domain", "llm.example.com", "--namespace", "edge",
				"--gateway", "edge/public")
			envoytest.ApplyIstio(t, host, manifests, istio+".2")
			a.StartEnvoy(release, envoytest.YAML(t, host))
			a.Host = "llm.example.com:443"
			c.run(t, a.Gateway, istio == "1.28")
			leavesTheShopAlone(a, shop)
		})
	}
}

// shopGateway is the Envoy with the shop, at the addresses of this test.
func shopGateway(a *gatewaytest.Attached, shop *gatewaytest.Provider) *bootstrapv3.Bootstrap {
	host := envoytest.Gateway(a.T)
	host.Admin = &bootstrapv3.Admin{Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.AdminSocket()}}}}
	host.GetStaticResources().GetListeners()[0].Address = gatewaytest.SocketAddress(a.T, "127.0.0.1:"+a.Port)
	for _, c := range host.GetStaticResources().GetClusters() {
		at := a.Processor
		if strings.Contains(c.GetName(), "shop") {
			at = strings.TrimPrefix(shop.URL, "http://")
		}
		c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().Address = gatewaytest.SocketAddress(a.T, at)
	}
	return host
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
func leavesTheShopAlone(a *gatewaytest.Attached, shop *gatewaytest.Provider) {
	t := a.T
	a.Host = "shop.example.com"
	before := a.Streams("request") + a.Streams("retry") + a.Streams("failure")
	if got := a.Post("/", "a body"); got.Status != 200 || got.Body != "welcome" {
		t.Errorf("the shop: %d %s", got.Status, got.Body)
	}
	got := a.Get("/v1/models", "Authorization", "Bearer of-the-shop")
	if got.Status != 404 || got.Body != "sold out\n" || got.Header.Get("X-Isthmus-Retry") != "1" {
		t.Errorf("a page the shop does not have: %d %v %s", got.Status, got.Header, got.Body)
	}
	calls := shop.Calls()
	if len(calls) != 2 {
		t.Fatalf("the shop was asked %d times", len(calls))
	}
	h := calls[1].Header
	if h.Get("Authorization") != "Bearer of-the-shop" || h.Get("X-Request-Id") == "" || h.Get("X-Envoy-Attempt-Count") != "1" {
		t.Errorf("the shop got the headers %v", h)
	}
	if n := a.Streams("request") + a.Streams("retry") + a.Streams("failure") - before; n != 0 {
		t.Errorf("isthmus was asked %d times about the shop's requests", n)
	}
	shop.Close()
	if got := a.Get("/"); got.Status != 503 || strings.Contains(got.Body, `"error"`) {
		t.Errorf("a shop that is away: %d %s", got.Status, got.Body)
	}
	if got := a.Get("/health/liveliness"); got.Status == 200 {
		t.Error("isthmus answers for the shop")
	}
}
