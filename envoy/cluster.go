package envoy

import (
	"fmt"
	"math"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	aggregatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/composite/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// The clusters of the isthmus service: one for the filter of the request and for
// configuration, one for the filters of the attempts. A request never waits for
// its own attempt behind other requests' bodies, and the two have other windows.
const (
	ProcessorCluster = "isthmus"
	AttemptsCluster  = ProcessorCluster + "-attempts"
)

const (
	httpOptionsKey   = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	processorStream  = 16 << 20 // bytes in flight of one ext_proc stream of the request filter
	processorSession = 64 << 20 // and of one connection

	// attemptsStream is the same of the attempts' filters: HTTP/2's largest. An upstream
	// ext_proc filter that is shown bodies can crash Envoy (decision 017). The opening
	// filter's stream ends with 64 KiB of a body, and with the connection where the
	// service hangs.
	attemptsStream = math.MaxInt32

	// processorBuffer is the buffer limit in bytes of a connection to the service:
	// none. Each request is bounded by the limit of a body; a limit of the
	// connection would count all requests together and stop all for the largest.
	processorBuffer = math.MaxUint32
)

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

// processorClusters are the clusters of the ext_proc service.
func (b *builder) processorClusters() []*clusterv3.Cluster {
	return []*clusterv3.Cluster{
		b.processorCluster(ProcessorCluster, processorStream), b.processorCluster(AttemptsCluster, attemptsStream),
	}
}

func (b *builder) processorCluster(name string, window uint32) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                durationpb.New(connectTimeout),
		LoadAssignment:                assignment(name, b.in.Processors[0].proto(), nil),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(processorBuffer),
	}
	for _, a := range b.in.Processors[1:] {
		endpoints := c.LoadAssignment.Endpoints[0]
		endpoints.LbEndpoints = append(endpoints.LbEndpoints, lbEndpoint(a.proto(), nil))
	}
	b.discoverReplicas(c)
	c.TransportSocket = b.processorTLS()
	// The default of 1024 open streams is that many running answers.
	c.CircuitBreakers = openBreakers()
	c.TypedExtensionProtocolOptions = b.processorOptions(window)
	return c
}

// discoverReplicas sets how the service's addresses are resolved, and how a replica
// that does not serve is found: by its health, where there may be another one.
func (b *builder) discoverReplicas(c *clusterv3.Cluster) {
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	if slices.ContainsFunc(b.in.Processors, Address.named) {
		// Each address of a name is a host of its own: a replica.
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsLookupFamily = clusterv3.Cluster_ALL
	} else if len(b.in.Processors) == 1 {
		return // one replica: it has the requests whatever its health
	}
	checkReplicas(c)
}

// checkReplicas has Envoy ask each replica for its health. One that drains, hangs or
// is gone gets no new streams; those that it has run on. When none is healthy, all
// are asked as before.
func checkReplicas(c *clusterv3.Cluster) {
	c.HealthChecks = []*corev3.HealthCheck{{
		Timeout:               durationpb.New(healthTimeout),
		Interval:              durationpb.New(healthInterval),
		NoTrafficInterval:     durationpb.New(healthInterval),
		UnhealthyEdgeInterval: durationpb.New(healthEdgeInterval),
		IntervalJitterPercent: healthJitter,
		UnhealthyThreshold:    wrapperspb.UInt32(2), // one answer that is late is no failure
		HealthyThreshold:      wrapperspb.UInt32(1),
		HealthChecker:         &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{}},
	}}
	// Envoy's default is to use all hosts when less than half of them are healthy:
	// in a rolling restart these would be the ones that drain.
	c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: panicThreshold}}
}

// panicThreshold is the share of healthy replicas, in percent, below which Envoy uses
// all of them: it is reached when none is healthy. 0 would have it use none.
const panicThreshold = 1

// processorOptions are the protocol options of the service: HTTP/2 with windows for
// whole bodies, of this many bytes for one stream.
func (b *builder) processorOptions(window uint32) map[string]*anypb.Any {
	return map[string]*anypb.Any{httpOptionsKey: b.any(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
					InitialStreamWindowSize:     wrapperspb.UInt32(window),
					InitialConnectionWindowSize: wrapperspb.UInt32(processorSession),
					ConnectionKeepalive: &corev3.KeepaliveSettings{
						Interval: durationpb.New(processorPing), Timeout: durationpb.New(processorPingTimeout),
					},
				}},
			}},
	})}
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
