package extproc

import (
	"runtime"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

func TestTheHealthServiceSaysWhetherTheReplicaServes(t *testing.T) {
	h := newHouse(t, twoSisters)
	s := healthpb.NewHealthClient(newPortClient(t, h.listenAs(&Secrets{})).conn)
	says := func(want healthpb.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "envoy.service.ext_proc.v3.ExternalProcessor", "isthmus"} {
			answer, err := s.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || answer.GetStatus() != want {
				t.Errorf("asked after %q it says %v, %v; want %s", service, answer.GetStatus(), err, want)
			}
		}
	}
	says(healthpb.HealthCheckResponse_SERVING)
	h.runtime.Drain()
	says(healthpb.HealthCheckResponse_NOT_SERVING)
}

func TestAReplicaThatDrainsServesNewRequestsAndTellsEnvoyToGoElsewhere(t *testing.T) {
	h := newHouse(t, twoSisters)
	before := h.open(names.FilterRequest)
	h.begin(before, question)
	h.runtime.Drain()
	after := h.open(names.FilterRequest)
	answer, _ := h.begin(after, question)
	if answer.GetRequestBody() == nil {
		t.Errorf("a new request is answered by %T", answer.GetResponse())
	}
	if before.said != nil || after.said[failHealthCheck] == nil {
		t.Errorf("the headers are %v before and %v after", before.said, after.said)
	}
	h.runtime.Refuse()
	refused := h.open(names.FilterRequest).ask(requestHeaders(false, begun()...)).GetImmediateResponse()
	if refused.GetStatus().GetCode() != 503 {
		t.Errorf("later a new request is answered by %v", refused)
	}
}

// TestALateConnectionHasNoNewRequests, but every stream of those that run.
func TestALateConnectionHasNoNewRequests(t *testing.T) {
	h := newHouse(t, twoSisters)
	h.runtime.Drain()
	for filter, want := range map[string]codes.Code{
		names.FilterRequest: codes.Unavailable, names.FilterRetry: codes.OK, names.FilterFailure: codes.OK, "": codes.OK,
	} {
		served := false
		err := h.LateConnection(nil, h.unopened(filter, ""), nil, func(any, grpc.ServerStream) error {
			served = true
			return nil
		})
		if status.Code(err) != want || served != (want == codes.OK) {
			t.Errorf("a stream of the filter %q: %v, served %t", filter, err, served)
		}
	}
}

// TestAReplacedConfigurationIsNotTakenAnyMore when no request is open under it: what
// then takes it apart must not meet one that had looked at it before.
func TestAReplacedConfigurationIsNotTakenAnyMore(t *testing.T) {
	rt := &Runtime{}
	rt.current.Store(&Snapshot{runtime: rt})
	var apart sync.Map
	stop := make(chan struct{})
	var requests sync.WaitGroup
	for range 4 {
		requests.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				g := rt.acquire()
				if _, gone := apart.Load(g); gone {
					t.Error("a request runs under a configuration that was taken apart")
				}
				g.release()
				runtime.Gosched() // the one who replaces it has its turn
			}
		})
	}
	for range 500 {
		old := rt.current.Swap(&Snapshot{runtime: rt})
		for old.Open() > 0 {
			runtime.Gosched()
		}
		apart.Store(old, true)
	}
	close(stop)
	requests.Wait()
	if rt.Open() != 0 {
		t.Errorf("%d requests are open at the end", rt.Open())
	}
}
