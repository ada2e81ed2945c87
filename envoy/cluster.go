package envoy

import (
	"fmt"
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	aggregatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/composite/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

const httpOptionsKey = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// clusters returns one cluster per deployment, and before 1.40 one per fixed
// order.
func (b *builder) clusters() ([]*clusterv3.Cluster, error) {
	var clusters []*clusterv3.Cluster
	seen := map[string]bool{ProcessorCluster: true, AttemptsCluster: true, names.EndCluster: true}
	for _, u := range b.in.Upstreams {
		if seen[u.Cluster] {
			return nil, fmt.Errorf("two deployments have the cluster name %q", u.Cluster)
		}
		seen[u.Cluster] = true
		c, err := b.upstream(u)
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, c)
		if u.StreamCluster != "" {
			clusters = append(clusters, b.streamCluster(u))
		}
	}
	if !b.in.Version.choosesPerAttempt() {
		for _, o := range b.in.Orders {
			clusters = append(clusters, b.order(o))
		}
	}
	return clusters, b.err
}

// discover sets how the cluster's one address is resolved.
func discover(c *clusterv3.Cluster, a Address) {
	if !a.named() {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		return
	}
	// LOGICAL_DNS keeps all addresses of a name as one host and tries them one
	// after another, so that a name with a dead address still works.
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
	c.DnsLookupFamily = clusterv3.Cluster_ALL
}

// upstream is the cluster of one deployment.
func (b *builder) upstream(u Upstream) (*clusterv3.Cluster, error) {
	e, err := u.parseEndpoint()
	if err != nil {
		return nil, err
	}
	metadata := deploymentMetadata(u)
	address := Address{Host: e.host, Port: e.port}
	c := &clusterv3.Cluster{
		Name:                      u.Cluster,
		ConnectTimeout:            durationpb.New(connectTimeout),
		LoadAssignment:            assignment(u.Cluster, address.proto(), metadata),
		CircuitBreakers:           openBreakers(),
		Metadata:                  metadata,
		UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{TcpKeepalive: keepalive()},
		// A dead api_base must not delay the start.
		WaitForWarmOnInit: wrapperspb.Bool(false),
	}
	discover(c, address)
	options := &httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: attemptTimeout(u)}
	if e.tls {
		options.UpstreamProtocolOptions = negotiated()
		if c.TransportSocket, err = b.tls(u, e); err != nil {
			return nil, err
		}
	} else {
		options.UpstreamProtocolOptions = plainHTTP1()
	}
	if b.shared && b.in.Version.choosesPerAttempt() {
		options.HttpFilters = b.upstreamFilters()
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: b.any(options)}
	return c, nil
}

// negotiated is HTTP/2 where the provider offers it by ALPN, else HTTP/1.1.
func negotiated() *httpv3.HttpProtocolOptions_AutoConfig {
	return &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
	}}
}

func plainHTTP1() *httpv3.HttpProtocolOptions_ExplicitHttpConfig_ {
	return &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
	}}
}

// order is the cluster of a fixed plan: attempt n goes to its n-th cluster.
func (b *builder) order(o Order) *clusterv3.Cluster {
	kind := &clusterv3.Cluster_CustomClusterType{Name: "envoy.clusters.composite"}
	if b.in.Version.hasCompositeCluster() {
		config := &compositev3.ClusterConfig{}
		for _, name := range o.Clusters {
			config.Clusters = append(config.Clusters, &compositev3.ClusterConfig_ClusterEntry{Name: name})
		}
		kind.TypedConfig = b.any(config)
	} else {
		kind.Name = "envoy.clusters.aggregate"
		kind.TypedConfig = b.any(&aggregatev3.ClusterConfig{Clusters: distinct(o.Clusters)})
	}
	c := &clusterv3.Cluster{
		Name:                 o.Name,
		ConnectTimeout:       durationpb.New(connectTimeout),
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ClusterDiscoveryType: &clusterv3.Cluster_ClusterType{ClusterType: kind},
		CircuitBreakers:      openBreakers(),
	}
	if b.shared {
		// The route's cluster has the filters of an attempt, whichever of its
		// sub-clusters the attempt goes to; those have the protocol.
		c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: b.any(&httpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: plainHTTP1(), HttpFilters: b.upstreamFilters(),
		})}
	}
	return c
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

// openBreakers lifts Envoy's default limits (1024 requests, 3 retries at once):
// limits are isthmus's own work, and the failed attempt's cluster counts its
// retries.
func openBreakers() *clusterv3.CircuitBreakers {
	most := wrapperspb.UInt32(math.MaxInt32)
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: most, MaxPendingRequests: most, MaxRequests: most, MaxRetries: most,
	}}}
}

func assignment(cluster string, address *corev3.Address, metadata *corev3.Metadata) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{lbEndpoint(address, metadata)}}},
	}
}

func lbEndpoint(address *corev3.Address, metadata *corev3.Metadata) *endpointv3.LbEndpoint {
	return &endpointv3.LbEndpoint{
		Metadata:       metadata,
		HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
	}
}
