package envoy

import (
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	internalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	networkstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	internalupstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// Envoy's router reads the time to a stream's first byte once for a request, and the
// bound of a cluster (max_stream_duration) would cut a running stream. So the streams
// of a deployment whose time is shorter than another's have a cluster of their own,
// whose host is a listener inside this Envoy: a TCP proxy to the deployment's other
// cluster, with that time as its idle timeout. It closes the connection of an attempt
// in which no byte has passed for so long; the router sees a reset, and retries.
//
// One listener serves all: the cluster's metadata say where to, and for how long.

// StreamListener is the name of that listener.
const StreamListener = "isthmus-streams"

// namespaceConnection is the metadata of a stream cluster that its connections have.
const namespaceConnection = "isthmus.connection"

// Fields of namespaceConnection.
const (
	fieldCluster = "cluster" // text: where the connection goes on to
	fieldIdle    = "idle_ms" // text: the longest time without a byte, in milliseconds
)

// streamCluster is the cluster of the streams of a deployment.
func (b *builder) streamCluster(u Upstream) *clusterv3.Cluster {
	host := deploymentMetadata(u)
	metadata := proto.Clone(host).(*corev3.Metadata)
	metadata.FilterMetadata[namespaceConnection] = &structpb.Struct{Fields: map[string]*structpb.Value{
		fieldCluster: structpb.NewStringValue(u.Cluster),
		fieldIdle:    structpb.NewStringValue(strconv.FormatInt(u.StreamTimeout.Milliseconds(), 10)),
	}}
	c := &clusterv3.Cluster{
		Name:                 u.StreamCluster,
		ConnectTimeout:       durationpb.New(connectTimeout),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment:       assignment(u.StreamCluster, internalAddress(u.StreamCluster), host),
		CircuitBreakers:      openBreakers(),
		Metadata:             metadata,
		TransportSocket: &corev3.TransportSocket{Name: "envoy.transport_sockets.internal_upstream",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&internalupstreamv3.InternalUpstreamTransport{
				PassthroughMetadata: []*internalupstreamv3.InternalUpstreamTransport_MetadataValueSource{{
					Kind: &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Cluster_{Cluster: &metadatav3.MetadataKind_Cluster{}}},
					Name: namespaceConnection,
				}},
				TransportSocket: &corev3.TransportSocket{Name: "envoy.transport_sockets.raw_buffer",
					ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&rawv3.RawBuffer{})}},
			})}},
	}
	options := &httpv3.HttpProtocolOptions{
		// The pool gives an unused connection up before the listener closes it, which
		// might be under a request.
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout: durationpb.New(min(upstreamIdleTimeout, max(u.StreamTimeout/2, time.Millisecond)))},
		UpstreamProtocolOptions: plainHTTP1(), // TLS is the other cluster's
	}
	if b.shared && b.in.Version.choosesPerAttempt() {
		options.HttpFilters = b.upstreamFilters()
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpOptionsKey: b.any(options)}
	return c
}

// internalAddress is that of StreamListener; id tells one host of it from another.
func internalAddress(id string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
		AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: StreamListener}, EndpointId: id,
	}}}
}

// needsStreamListener: an Envoy whose clusters can change may come to need it, and its
// listeners stay.
func (b *builder) needsStreamListener() bool {
	if b.in.Dynamic {
		return true
	}
	for _, u := range b.in.Upstreams {
		if u.StreamCluster != "" {
			return true
		}
	}
	return false
}

// streamListener is the listener that stream clusters lead to.
func (b *builder) streamListener() *listenerv3.Listener {
	state := &networkstatev3.Config{OnNewConnection: []*setstatev3.FilterStateValue{
		connectionState("envoy.tcp_proxy.cluster", fieldCluster),
		connectionState("envoy.tcp_proxy.per_connection_idle_timeout_ms", fieldIdle),
	}}
	// A connection without metadata is none of ours: no cluster has this name.
	tcp := &tcpproxyv3.TcpProxy{StatPrefix: StreamListener, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: names.EndCluster}}
	return &listenerv3.Listener{
		Name:              StreamListener,
		ListenerSpecifier: &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{
			{Name: "envoy.filters.network.set_filter_state", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(state)}},
			{Name: "envoy.filters.network.tcp_proxy", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(tcp)}},
		}}},
	}
}

// connectionState sets an object that the TCP proxy reads to a field of the
// connection's metadata.
func connectionState(object, field string) *setstatev3.FilterStateValue {
	return &setstatev3.FilterStateValue{
		Key: &setstatev3.FilterStateValue_ObjectKey{ObjectKey: object},
		Value: &setstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: "%DYNAMIC_METADATA(" + namespaceConnection + ":" + field + ")%"},
			}},
		}},
	}
}

// internalListeners is the bootstrap extension without which Envoy has no listeners
// inside.
func (b *builder) internalListeners() *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: "envoy.bootstrap.internal_listener", TypedConfig: b.any(&internalv3.InternalListener{})}
}

// deploymentMetadata says, of a cluster and its host, which deployment they lead to.
func deploymentMetadata(u Upstream) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		names.NamespaceExchange: {Fields: map[string]*structpb.Value{names.FieldDeployment: structpb.NewStringValue(u.Deployment)}},
	}}
}
