package envoy

import (
	"math"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// This file has how Envoy reaches the isthmus service.

// The clusters of the isthmus service: one for the filter of the request and for
// configuration, one for the filters of the attempts. A request never waits for
// its own attempt behind other requests' bodies, and the two have other windows.
const (
	ProcessorCluster = "isthmus"
	AttemptsCluster  = ProcessorCluster + "-attempts"
)

const (
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

// defaultAuthority is the :authority of streams to a service that has no one name.
const defaultAuthority = "isthmus"

// authorityOf is the :authority of every stream to the service: its host name, which a
// proxy in front of it may route by. Envoy's default would be the name of the cluster, in
// which another Envoy takes no "|", and Istio's names have these.
func authorityOf(processors []Address) string {
	if len(processors) == 0 || slices.ContainsFunc(processors, func(a Address) bool { return !a.named() || a.Host != processors[0].Host }) {
		return defaultAuthority
	}
	return processors[0].Host
}

// grpcService is the service behind one of its clusters.
func (b *builder) grpcService(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster, Authority: b.authority},
	}}
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
	b.checkReplicas(c)
}

// checkReplicas has Envoy ask each replica for its health. One that drains, hangs or
// is gone gets no new streams; those that it has run on. When none is healthy, all
// are asked as before.
func (b *builder) checkReplicas(c *clusterv3.Cluster) {
	c.HealthChecks = []*corev3.HealthCheck{{
		Timeout:               durationpb.New(healthTimeout),
		Interval:              durationpb.New(healthInterval),
		NoTrafficInterval:     durationpb.New(healthInterval),
		UnhealthyEdgeInterval: durationpb.New(healthEdgeInterval),
		IntervalJitterPercent: healthJitter,
		UnhealthyThreshold:    wrapperspb.UInt32(2), // one answer that is late is no failure
		HealthyThreshold:      wrapperspb.UInt32(1),
		HealthChecker: &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{
			Authority: b.authority,
		}},
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
