package envoy

import (
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	downstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxConnections bounds the clients' connections; Envoy asks for a bound.
const maxConnections = 100_000

// Bootstrap returns a whole Envoy configuration.
func Bootstrap(in Input) (*bootstrapv3.Bootstrap, error) {
	b := newBuilder(in)
	var clusters []*clusterv3.Cluster
	if !in.Dynamic {
		var err error
		if clusters, err = b.clusters(); err != nil {
			return nil, err
		}
	}
	boot := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: "isthmus", Cluster: "isthmus"},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: []*listenerv3.Listener{b.listener()},
			Clusters:  append(b.processorClusters(), clusters...),
		},
		OverloadManager: &overloadv3.OverloadManager{
			ResourceMonitors: []*overloadv3.ResourceMonitor{{
				Name: "envoy.resource_monitors.global_downstream_max_connections",
				ConfigType: &overloadv3.ResourceMonitor_TypedConfig{TypedConfig: b.any(&downstreamv3.DownstreamConnectionsConfig{
					MaxActiveDownstreamConnections: maxConnections,
				})},
			}},
		},
	}
	boot.LayeredRuntime = &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name:           "isthmus",
		LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: &structpb.Struct{Fields: b.runtime()}},
	}}}
	if in.Dynamic {
		boot.DynamicResources = b.dynamicClusters()
	}
	if b.needsStreamListener() {
		boot.BootstrapExtensions = []*corev3.TypedExtensionConfig{b.internalListeners()}
		boot.StaticResources.Listeners = append(boot.StaticResources.Listeners, b.streamListener())
	}
	if in.Admin != (Address{}) {
		boot.Admin = &bootstrapv3.Admin{Address: in.Admin.proto()}
	}
	return boot, b.valid(boot)
}

// runtime are the settings that Envoy has in its runtime alone.
func (b *builder) runtime() map[string]*structpb.Value {
	fields := map[string]*structpb.Value{
		// One connection's requests take turns with those of the others.
		"http.max_requests_per_io_cycle": structpb.NewNumberValue(1),
	}
	if b.in.Version.hidesLocalReplies() {
		fields["envoy.reloadable_features.skip_ext_proc_on_local_reply"] = structpb.NewBoolValue(false)
	}
	return fields
}

// valid returns the errors of building and of Envoy's own validation rules, joined.
func (b *builder) valid(messages ...interface{ ValidateAll() error }) error {
	err := errors.Join(b.err, b.in.Security.check())
	for _, m := range messages {
		err = errors.Join(err, m.ValidateAll())
	}
	return err
}

// builder makes the parts of one configuration and keeps the first error.
type builder struct {
	in  Input
	err error

	// shared means that the Envoy has other traffic: our filters run for our virtual
	// host and our clusters alone.
	shared bool
	// processor and attempts are the names of the service's clusters.
	processor, attempts string
	authority           string // of every stream to the service
}

func newBuilder(in Input) *builder {
	return &builder{in: in.withDefaults(), processor: ProcessorCluster, attempts: AttemptsCluster, authority: authorityOf(in.Processors)}
}

// any wraps a message; the first error is kept in b.err.
func (b *builder) any(m proto.Message) *anypb.Any {
	out := &anypb.Any{}
	// Deterministic, so that the same input always gives the same text.
	if err := anypb.MarshalFrom(out, m, proto.MarshalOptions{Deterministic: true}); err != nil && b.err == nil {
		b.err = fmt.Errorf("encode %T: %w", m, err)
	}
	return out
}

func (a Address) proto() *corev3.Address {
	if a.Path != "" {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.Path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: a.Port},
	}}}
}
