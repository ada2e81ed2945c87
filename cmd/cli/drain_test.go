package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/names"
)

func TestTheTimesOfADrain(t *testing.T) {
	for name, tc := range map[string]struct {
		drainFlags
		fails bool
	}{
		"both":                              {drainFlags{5 * time.Second, 30 * time.Second}, false},
		"no grace":                          {drainFlags{0, 30 * time.Second}, false},
		"no time at all":                    {drainFlags{0, 0}, false},
		"as long":                           {drainFlags{time.Minute, time.Minute}, false},
		"a grace longer than the whole":     {drainFlags{31 * time.Second, 30 * time.Second}, true},
		"a grace below nothing":             {drainFlags{-time.Second, 30 * time.Second}, true},
		"a whole time that is below it too": {drainFlags{-2 * time.Second, -time.Second}, true},
	} {
		if err := tc.check(); (err != nil) != tc.fails {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAGraceEndsWithItsTimeOrWithTheWholeOrWithEnvoy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := func(d, whole time.Duration, over <-chan struct{}) time.Duration {
			ctx, cancel := context.WithTimeout(t.Context(), whole)
			defer cancel()
			began := time.Now()
			wait(ctx, d, over)
			return time.Since(began)
		}
		gone := make(chan struct{})
		time.AfterFunc(12*time.Second, func() { close(gone) })
		if took := ends(5*time.Second, time.Minute, gone); took != 5*time.Second {
			t.Errorf("by its time after %s", took)
		}
		if took := ends(5*time.Second, 3*time.Second, gone); took != 3*time.Second {
			t.Errorf("by the whole time after %s", took)
		}
		if took := ends(5*time.Second, time.Minute, gone); took != 4*time.Second {
			t.Errorf("by the end of Envoy after %s", took)
		}
	})
}

// drainable is a service on a socket, and what dials it.
func drainable(t *testing.T) (s *service, dial func() *grpc.ClientConn) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	text := "model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:1/v1', api_key: k}}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := (&configFlags{path: path}).load()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	if s, err = startService(cfg, serviceOptions{Listen: envoy.Address{Path: socket}}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s, func() *grpc.ClientConn {
		var d net.Dialer
		c, err := grpc.NewClient("passthrough:///"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, at string) (net.Conn, error) { return d.DialContext(ctx, "unix", at) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// ask sends a request's headers as the filter of a request and returns its stream and
// the answer.
func ask(t *testing.T, c *grpc.ClientConn) (extprocv3.ExternalProcessor_ProcessClient, *extprocv3.ProcessingResponse, error) {
	t.Helper()
	said := grpcmetadata.Pairs(names.KeyFilter, names.FilterRequest, names.KeyPlan, "priority_group")
	stream, err := extprocv3.NewExternalProcessorClient(c).Process(grpcmetadata.NewOutgoingContext(t.Context(), said))
	if err != nil {
		t.Fatal(err)
	}
	header := &corev3.HeaderMap{}
	for name, value := range map[string]string{
		":method": "POST", ":path": "/v1/chat/completions", ":authority": "gateway", ":scheme": "http",
	} {
		header.Headers = append(header.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	err = stream.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{
		RequestHeaders: &extprocv3.HttpHeaders{Headers: header}}})
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	return stream, answer, err
}

// TestAServiceLeavesItsConnections: what runs by them runs on, and what comes by new
// ones is refused so that Envoy asks another replica.
func TestAServiceLeavesItsConnections(t *testing.T) {
	s, dial := drainable(t)
	early := dial()
	running, _, err := ask(t, early)
	if err != nil {
		t.Fatal(err)
	}
	s.runtime.Drain()
	if _, answer, err := ask(t, early); err != nil || answer.GetRequestHeaders() == nil {
		t.Errorf("before the connections are left a new request is answered by %v, %v", answer, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.leave(ctx)
	if _, _, err := ask(t, dial()); status.Code(err) != codes.Unavailable {
		t.Errorf("a new connection's request ends with %v", err)
	}
	health, err := healthpb.NewHealthClient(dial()).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || health.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("a new connection hears of the health %v, %v", health, err)
	}
	err = running.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: []byte(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`), EndOfStream: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := running.Recv(); err != nil || answer.GetRequestBody() == nil {
		t.Errorf("a request that ran is answered by %v, %v", answer, err)
	}
	if n := s.runtime.Open(); n != 2 {
		t.Errorf("%d requests are open", n)
	}
}

// TestTheLastStreamsOfAServiceRunToTheirEnd: those of its own requests are over when it
// finishes, others' are not.
func TestTheLastStreamsOfAServiceRunToTheirEnd(t *testing.T) {
	s, dial := drainable(t)
	early := dial()
	logs, err := accesslogv3.NewAccessLogServiceClient(early).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	running, _, err := ask(t, early)
	if err != nil {
		t.Fatal(err)
	}
	s.runtime.Drain()
	told, cancel := context.WithCancel(t.Context())
	cancel()
	s.leave(told)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		s.finish(t.Context())
	}()
	if err := logs.RecvMsg(&accesslogv3.StreamAccessLogsResponse{}); err != nil {
		t.Errorf("the stream of the access log ends with %v", err)
	}
	_, err = healthpb.NewHealthClient(dial()).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a new connection's question ends with %v", err)
	}
	select {
	case <-finished:
		t.Error("the service has not waited for the stream that runs")
	default:
	}
	if err := running.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := running.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream that ran ends with %v", err)
	}
	<-finished
}
