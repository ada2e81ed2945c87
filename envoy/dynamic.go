package envoy

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Resources are what a change of the model config changes in Envoy: what a Dynamic
// Envoy asks the service for. Package envoy/xds answers it.
type Resources struct {
	Clusters []*clusterv3.Cluster // of the deployments, and before 1.40 of the fixed orders
	Routes   *routev3.RouteConfiguration
}

// NewResources returns the resources of a Dynamic Envoy.
func NewResources(in Input) (*Resources, error) {
	b := newBuilder(in)
	clusters, err := b.clusters()
	if err != nil {
		return nil, err
	}
	r := &Resources{Clusters: clusters, Routes: b.routes()}
	messages := []interface{ ValidateAll() error }{r.Routes}
	for _, c := range clusters {
		messages = append(messages, c)
	}
	return r, b.valid(messages...)
}

// dynamicClusters makes the service the source of the deployments' clusters.
func (b *builder) dynamicClusters() *bootstrapv3.Bootstrap_DynamicResources {
	return &bootstrapv3.Bootstrap_DynamicResources{CdsConfig: b.fromProcessor()}
}

// routeSource sets where the connection manager has its routes from: the service if
// Dynamic, else the configuration itself.
func (b *builder) routeSource(m *hcmv3.HttpConnectionManager) {
	if b.in.Dynamic {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: b.fromProcessor(), RouteConfigName: routesName}}
		return
	}
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: b.routes()}
}

func (b *builder) fromProcessor() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:  corev3.ApiVersion_V3,
		InitialFetchTimeout: durationpb.New(initialFetchTimeout),
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{b.grpcService(b.processor)},
		}},
	}
}
