package envoytest

import (
	_ "embed" // the configuration of an Envoy that is not ours
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	// The types of the host's own filters.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
)

//go:embed gateway.yaml
var gateway []byte

// Gateway is the configuration of an Envoy that serves a shop and looks like an
// Istio gateway's: its listener and route table are on port 443 of the Gateway
// "edge/public", its clusters have Istio's names, isthmus in namespace edge is
// one of them.
func Gateway(t testing.TB) *bootstrapv3.Bootstrap {
	t.Helper()
	return Bootstrap(t, gateway)
}

// Paste adds what `isthmus envoy --format filters` wrote to a configuration, as
// its comments say.
func Paste(t testing.TB, host *bootstrapv3.Bootstrap, parts []byte) {
	t.Helper()
	doc := Documents(t, parts)[0]
	connectionManagers(t, host, func(m *hcmv3.HttpConnectionManager) {
		for _, f := range doc["http_filters"].([]any) {
			insertBefore(t, m, "envoy.filters.http.router", Message(t, f, &hcmv3.HttpFilter{}))
		}
		for _, v := range doc["virtual_hosts"].([]any) {
			m.GetRouteConfig().VirtualHosts = append(m.GetRouteConfig().VirtualHosts, Message(t, v, &routev3.VirtualHost{}))
		}
		settings := Message(t, map[string]any{"local_reply_config": doc["local_reply_config"]}, &hcmv3.HttpConnectionManager{})
		proto.Merge(settings.GetLocalReplyConfig(), m.GetLocalReplyConfig())
		m.LocalReplyConfig = settings.GetLocalReplyConfig()
	})
	if limit, ok := doc["per_connection_buffer_limit_bytes"].(int); ok {
		for _, l := range host.GetStaticResources().GetListeners() {
			l.PerConnectionBufferLimitBytes = wrapperspb.UInt32(uint32(limit))
		}
	}
	for _, l := range list(doc["listeners"]) {
		host.StaticResources.Listeners = append(host.StaticResources.Listeners, Message(t, l, &listenerv3.Listener{}))
	}
	for _, e := range list(doc["bootstrap_extensions"]) {
		host.BootstrapExtensions = append(host.BootstrapExtensions, Message(t, e, &corev3.TypedExtensionConfig{}))
	}
	for _, c := range doc["clusters"].([]any) {
		host.StaticResources.Clusters = append(host.StaticResources.Clusters, Message(t, c, &clusterv3.Cluster{}))
	}
}

// list is a list that may be absent.
func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// connectionManagers edits every HTTP connection manager of a configuration.
func connectionManagers(t testing.TB, host *bootstrapv3.Bootstrap, edit func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	for _, l := range host.GetStaticResources().GetListeners() {
		for _, chain := range l.GetFilterChains() {
			for _, f := range chain.GetFilters() {
				if f.GetName() != "envoy.filters.network.http_connection_manager" {
					continue
				}
				m := &hcmv3.HttpConnectionManager{}
				if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
					t.Fatal(err)
				}
				edit(m)
				packed, err := anypb.New(m)
				if err != nil {
					t.Fatal(err)
				}
				f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
			}
		}
	}
}

func insertBefore(t testing.TB, m *hcmv3.HttpConnectionManager, name string, f *hcmv3.HttpFilter) {
	t.Helper()
	i := slices.IndexFunc(m.HttpFilters, func(h *hcmv3.HttpFilter) bool { return h.GetName() == name })
	if i < 0 {
		t.Fatalf("the connection manager has no filter %s", name)
	}
	m.HttpFilters = slices.Insert(m.HttpFilters, i, f)
}

// GatewayOf is Gateway for a Gateway resource ("namespace/name") and a Service of
// other names.
func GatewayOf(t testing.TB, resource, service string) *bootstrapv3.Bootstrap {
	t.Helper()
	namespace, name, _ := strings.Cut(resource, "/")
	return Bootstrap(t, []byte(strings.NewReplacer(
		".public.edge", "."+name+"."+namespace, "isthmus.edge.svc.cluster.local", service,
	).Replace(string(gateway))))
}
