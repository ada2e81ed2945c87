package extproc

import (
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// healthService begins the methods of gRPC's health service, which says nothing
// that is secret.
const healthService = "/grpc.health.v1.Health/"

// health is gRPC's health service. It answers everybody, and so it reads nothing: a
// message may be as large as the largest body, and gRPC holds the whole of one that
// is read. The service that a question names is therefore not looked at. There is
// no Watch, which would hold a stream for who asks.
func health() *grpc.ServiceDesc {
	check := func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING})
	}
	return &grpc.ServiceDesc{
		ServiceName: healthpb.Health_ServiceDesc.ServiceName,
		Streams:     []grpc.StreamDesc{{StreamName: "Check", Handler: check, ServerStreams: true}},
		Metadata:    healthpb.Health_ServiceDesc.Metadata,
	}
}
