package extproc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
)

// A service that ends does so in steps, so that no request is lost on the way. First
// it says that it does not serve (Drain) while it serves on: whoever balances over the
// replicas needs a while to hear of it. Then new requests are refused: all of them
// (Refuse), or those of connections that are opened from then on (LateConnection).
// The streams of requests that run are served to their end, by whatever connection
// they come.

// Drain turns readiness and gRPC's health service: this replica does not serve. New
// requests are admitted all the same, until Refuse.
func (rt *Runtime) Drain() { rt.drain.Store(true) }

// Refuse refuses new requests from now on; those that run go on.
func (rt *Runtime) Refuse() {
	rt.drain.Store(true)
	rt.refuse.Store(true)
}

func (g *Snapshot) draining() bool { return g.runtime.drain.Load() }

// LateConnection is the interceptor of connections that are opened when this replica
// should have no new requests any more: it refuses them in the way that has Envoy ask
// another replica, and serves everything else.
func (s *Server) LateConnection(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if metadataValue(stream.Context(), names.KeyFilter) == names.FilterRequest {
		s.runtime.metrics.RefusedStream(metrics.RefusedDraining)
		return status.Error(codes.Unavailable, "this replica is draining")
	}
	return handler(srv, stream)
}

// failHealthCheck is the response header by which Envoy, if it checks the health of
// the cluster, takes a replica out without waiting for its next check.
const failHealthCheck = "x-envoy-immediate-health-check-fail"

// leave tells the Envoy of a stream that this replica does not serve, if so. It must
// be called before the stream is answered.
func (rt *Runtime) leave(stream grpc.ServerStream) error {
	if !rt.drain.Load() {
		return nil
	}
	return stream.SetHeader(grpcmetadata.Pairs(failHealthCheck, "true"))
}

// healthService begins the methods of gRPC's health service, which says nothing
// that is secret.
const healthService = "/grpc.health.v1.Health/"

// health is gRPC's health service. It answers every caller, and so it reads nothing: a
// message may be as large as the largest body, and gRPC holds the whole of one that
// is read. The service that a question names is therefore not looked at. There is
// no Watch, which would hold a stream for who asks.
func (rt *Runtime) health() *grpc.ServiceDesc {
	check := func(_ any, stream grpc.ServerStream) error {
		answer := healthpb.HealthCheckResponse_SERVING
		if rt.drain.Load() {
			answer = healthpb.HealthCheckResponse_NOT_SERVING
		}
		return stream.SendMsg(&healthpb.HealthCheckResponse{Status: answer})
	}
	return &grpc.ServiceDesc{
		ServiceName: healthpb.Health_ServiceDesc.ServiceName,
		Streams:     []grpc.StreamDesc{{StreamName: "Check", Handler: check, ServerStreams: true}},
		Metadata:    healthpb.Health_ServiceDesc.Metadata,
	}
}
