package envoytest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	internalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// envoyFilter is what an EnvoyFilter's patches say.
type envoyFilter struct {
	t       testing.TB
	host    *bootstrapv3.Bootstrap
	proxy   string // the gateway's Istio version
	applied int
}

// ApplyIstio patches a gateway as istiod of this version ("1.31.0") does with
// the EnvoyFilters of the manifests, for the operations that isthmus uses. A
// patch that matches nothing, or another version, fails the test.
func ApplyIstio(t testing.TB, host *bootstrapv3.Bootstrap, manifests []byte, version string) {
	t.Helper()
	addSubsets(t, host, manifests)
	extension, err := anypb.New(&internalv3.InternalListener{})
	if err != nil {
		t.Fatal(err)
	}
	// Istio's own bootstrap has it.
	host.BootstrapExtensions = append(host.BootstrapExtensions,
		&corev3.TypedExtensionConfig{Name: "envoy.bootstrap.internal_listener", TypedConfig: extension})
	f := &envoyFilter{t: t, host: host, proxy: version}
	for _, doc := range Documents(t, manifests) {
		if doc["kind"] != "EnvoyFilter" {
			continue
		}
		for _, p := range dig(doc, "spec", "configPatches").([]any) {
			f.apply(p.(map[string]any))
		}
	}
	if f.applied == 0 {
		t.Fatal("no EnvoyFilter in the manifests")
	}
}

// dig walks into nested maps; nil where there is nothing.
func dig(m any, path ...string) any {
	for _, name := range path {
		inner, ok := m.(map[string]any)
		if !ok {
			return nil
		}
		m = inner[name]
	}
	return m
}

func (f *envoyFilter) apply(p map[string]any) {
	f.t.Helper()
	what := fmt.Sprint(p["applyTo"], " ", dig(p, "patch", "operation"))
	if c := dig(p, "match", "context"); c != "GATEWAY" {
		f.t.Fatalf("%s: context %v", what, c)
	}
	if !regexp.MustCompile(dig(p, "match", "proxy", "proxyVersion").(string)).MatchString(f.proxy) {
		f.t.Fatalf("%s: not for Istio %s", what, f.proxy)
	}
	before := f.applied
	value := dig(p, "patch", "value")
	switch what {
	case "HTTP_FILTER INSERT_BEFORE":
		f.insertFilter(p, value)
	case "NETWORK_FILTER MERGE":
		f.mergeManager(value)
	case "LISTENER ADD":
		f.host.StaticResources.Listeners = append(f.host.StaticResources.Listeners, Message(f.t, value, &listenerv3.Listener{}))
		f.applied++
	case "LISTENER MERGE":
		f.mergeListener(p, value)
	case "VIRTUAL_HOST ADD":
		f.addHost(p, value)
	case "CLUSTER ADD":
		f.host.StaticResources.Clusters = append(f.host.StaticResources.Clusters, Message(f.t, value, &clusterv3.Cluster{}))
		f.applied++
	case "CLUSTER MERGE":
		f.mergeCluster(p, value)
	default:
		f.t.Fatalf("%s: not known here", what)
	}
	if f.applied == before {
		f.t.Errorf("%s matches nothing: %v", what, p["match"])
	}
}

func (f *envoyFilter) insertFilter(p map[string]any, value any) {
	router := dig(p, "match", "listener", "filterChain", "filter", "subFilter", "name").(string)
	connectionManagers(f.t, f.host, func(m *hcmv3.HttpConnectionManager) {
		insertBefore(f.t, m, router, Message(f.t, value, &hcmv3.HttpFilter{}))
		f.applied++
	})
}

func (f *envoyFilter) mergeManager(value any) {
	patch, settings := Message(f.t, value, &listenerv3.Filter{}), &hcmv3.HttpConnectionManager{}
	if err := patch.GetTypedConfig().UnmarshalTo(settings); err != nil {
		f.t.Fatal(err)
	}
	connectionManagers(f.t, f.host, func(m *hcmv3.HttpConnectionManager) {
		proto.Merge(m, settings)
		f.applied++
	})
}

func (f *envoyFilter) mergeListener(p map[string]any, value any) {
	port := dig(p, "match", "listener", "portNumber")
	for _, l := range f.host.GetStaticResources().GetListeners() {
		if port == nil || strings.HasSuffix(l.GetName(), fmt.Sprint("_", port)) {
			proto.Merge(l, Message(f.t, value, &listenerv3.Listener{}))
			f.applied++
		}
	}
}

// addHost adds to the route tables of the port and Gateway, which Istio calls
// https.PORT.PORTNAME.GATEWAY.NAMESPACE.
func (f *envoyFilter) addHost(p map[string]any, value any) {
	port, gateway := dig(p, "match", "routeConfiguration", "portNumber"), dig(p, "match", "routeConfiguration", "gateway")
	connectionManagers(f.t, f.host, func(m *hcmv3.HttpConnectionManager) {
		name := strings.Split(m.GetRouteConfig().GetName(), ".")
		if len(name) != 5 || port != nil && fmt.Sprint(port) != name[1] || gateway != nil && gateway != name[4]+"/"+name[3] {
			return
		}
		m.GetRouteConfig().VirtualHosts = append(m.GetRouteConfig().VirtualHosts, Message(f.t, value, &routev3.VirtualHost{}))
		f.applied++
	})
}

// mergeCluster merges as Istio does: a map's entry of the patch replaces the
// cluster's.
func (f *envoyFilter) mergeCluster(p map[string]any, value any) {
	port, service := fmt.Sprint(dig(p, "match", "cluster", "portNumber")), fmt.Sprint(dig(p, "match", "cluster", "service"))
	subset := dig(p, "match", "cluster", "subset")
	for _, c := range f.host.GetStaticResources().GetClusters() {
		// A match that names no subset is for all of them.
		name := strings.Split(c.GetName(), "|")
		if len(name) == 4 && name[1] == port && name[3] == service && (subset == nil || subset == name[2]) {
			proto.Merge(c, Message(f.t, value, &clusterv3.Cluster{}))
			f.applied++
		}
	}
}

// addSubsets gives the host the clusters of the subsets that the manifests'
// DestinationRules have: as the service's own, for these have no labels.
func addSubsets(t testing.TB, host *bootstrapv3.Bootstrap, manifests []byte) {
	t.Helper()
	for _, doc := range Documents(t, manifests) {
		if doc["kind"] != "DestinationRule" {
			continue
		}
		subsets, _ := dig(doc, "spec", "subsets").([]any)
		for _, subset := range subsets {
			for _, c := range host.GetStaticResources().GetClusters() {
				name := strings.Split(c.GetName(), "|")
				if len(name) != 4 || name[2] != "" || name[3] != dig(doc, "spec", "host") {
					continue
				}
				of := proto.CloneOf(c)
				of.Name = fmt.Sprintf("outbound|%s|%s|%s", name[1], dig(subset, "name"), name[3])
				of.GetLoadAssignment().ClusterName = of.GetName()
				host.StaticResources.Clusters = append(host.StaticResources.Clusters, of)
			}
		}
	}
}

// KnowServices gives the host the clusters that Istio makes of the manifests'
// ServiceEntries, which the patches then name.
func KnowServices(t testing.TB, host *bootstrapv3.Bootstrap, manifests []byte) {
	t.Helper()
	for _, doc := range Documents(t, manifests) {
		if doc["kind"] != "ServiceEntry" {
			continue
		}
		for _, name := range dig(doc, "spec", "hosts").([]any) {
			for _, port := range dig(doc, "spec", "ports").([]any) {
				host.StaticResources.Clusters = append(host.StaticResources.Clusters, serviceCluster(t, name, dig(port, "number")))
			}
		}
	}
}

func serviceCluster(t testing.TB, name, port any) *clusterv3.Cluster {
	t.Helper()
	cluster := fmt.Sprintf("outbound|%v||%v", port, name)
	return Message(t, map[string]any{
		"name": cluster, "type": "STRICT_DNS", "connect_timeout": "5s",
		"load_assignment": map[string]any{"cluster_name": cluster, "endpoints": []any{map[string]any{"lb_endpoints": []any{map[string]any{
			"endpoint": map[string]any{"address": map[string]any{"socket_address": map[string]any{"address": name, "port_value": port}}},
		}}}}},
	}, &clusterv3.Cluster{})
}
