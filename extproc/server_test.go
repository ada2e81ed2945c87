package extproc

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

func TestTheHealthServiceReadsNothingWithoutTheSecret(t *testing.T) {
	h := newHouse(t, twoSisters)
	s := healthpb.NewHealthClient(newPortClient(t, h.listenAs(known(t, "the-secret-of-the-port"))).conn)
	// More than the server reads: a question that is read ends with an error.
	for _, service := range []string{"", "isthmus", strings.Repeat("x", 16<<20)} {
		answer, err := s.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("a question of %d bytes: %v, %v", len(service), answer, err)
		}
	}
	watch, err := s.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("a client without the secret holds a stream: %v", err)
	}
}
