package extproc

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// busyHouse is a house with limits, a cache, and the counting of tokens.
func busyHouse(t testing.TB) *house {
	h := newHouse(t, twoSisters)
	h.runtime.log = slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelError})) // bugs alone
	local, err := cache.NewLocal(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	limiter := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now, MaxParallel: 1000,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: limit.Budget{MaxParallel: 3}}, {ID: "b", Group: "m"}},
	})
	responses := cache.New(cache.Config{Blobs: local, Miss: cache.ErrMiss, MaxWait: 5 * time.Millisecond})
	h.runtime.Use(h.router, Settings{
		Limiter: limiter, Cache: responses, Tokens: tokens.New(), MaxHold: 10 * time.Millisecond, StreamFailover: true,
	})
	t.Cleanup(func() {
		_ = responses.Close(context.Background())
		local.Close()
		limiter.Close()
	})
	return h
}

// anyMessage is a message of Envoy's, by two bytes: its kind and what is in it.
// known are ids of exchanges that somebody has.
func anyMessage(kind, detail byte, known []string) *extprocv3.ProcessingRequest {
	bodies := []string{question, "{}", "", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`,
		`{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`,
		"data: {\"id\":\"c\",\"choices\":[]}\n\n",
		"data: [DONE]\n\n", `{"error":{"message":"broken"}}`, "\xff"}
	statuses := []string{"200", "500", "429", "", "204", "302", "-1", "99999999999"}
	text := bodies[int(detail)%len(bodies)]
	code := statuses[int(detail>>1)%len(statuses)]
	ended := detail&1 == 1
	attempt := int(detail>>3) % 5
	var m *extprocv3.ProcessingRequest
	switch kind % 8 {
	case 0:
		m = requestHeaders(ended, begun("x-envoy-attempt-count", strconv.Itoa(attempt))...)
	case 1:
		m = requestHeaders(ended, ":method", "GET", ":path", "/v1/models")
	case 2:
		m = requestBody(text)
	case 3:
		m = responseHead(attempt, ended, ":status", code, "content-type",
			[]string{"application/json", "text/event-stream", "text/html", ""}[detail>>2&3])
	case 4:
		m = responsePiece(text, ended)
	case 5:
		m = responseTrailers()
	case 6:
		m = &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{}}}
	default:
		m = &extprocv3.ProcessingRequest{}
	}
	if m.Attributes == nil {
		m.Attributes = attrs(attempt)
	}
	id := "unknown"
	if len(known) > 0 {
		id = known[int(detail)%len(known)]
	}
	m.MetadataContext = namedAt(id, []string{"", "192.0.2.1:1", "not an address"}[detail>>4%3%3])
	return m
}

// FuzzMessageOrder sends any messages in any order on several streams at once,
// which name each other's exchanges. Nothing panics, nothing hangs, and when all
// streams have ended nothing is held.
func FuzzMessageOrder(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02\x03\x00"), []byte{0, 0, 2, 0, 3, 0, 4, 1})
	f.Add([]byte{0, 2, 1}, []byte{0, 0, 0, 2, 0, 0, 1, 3, 3, 2, 3, 3, 0, 3, 1, 0, 4, 8, 2, 0, 8})
	f.Add([]byte{0, 0, 2, 1, 1}, []byte{0, 0, 0, 1, 0, 0, 0, 2, 3, 1, 2, 3, 2, 3, 3, 3, 0, 16, 4, 0, 16, 0, 3, 1, 1, 4, 1})
	f.Add([]byte{0, 3, 3}, []byte{0, 0, 0, 0, 2, 3, 1, 3, 12, 1, 4, 7, 2, 3, 12, 2, 4, 10, 0, 3, 12, 0, 4, 10})
	h := busyHouse(f)
	f.Fuzz(func(t *testing.T, filters, script []byte) {
		if len(filters) == 0 || len(filters) > 8 || len(script) > 600 {
			return
		}
		h.t = t
		streams := make([]*filterStream, len(filters))
		for i, b := range filters {
			carry := []string{"priority_group", "composite", "aggregate"}[b>>4%3]
			streams[i] = h.openWith([]string{names.FilterRequest, names.FilterRetry, names.FilterFailure, names.FilterOpening}[b%4], carry)
			streams[i].out = make(chan *extprocv3.ProcessingResponse, len(script)+4)
		}
		var known []string
		for ; len(script) >= 3; script = script[3:] {
			s := streams[int(script[0])%len(streams)]
			select {
			case s.in <- anyMessage(script[1], script[2], known): // the streams work side by side
			case err := <-s.err:
				s.err <- err // it has ended
			}
			h.exchanges.byID.Range(func(id, _ any) bool {
				known = append(known[:min(len(known), 7)], id.(string))
				return true
			})
		}
		for i, s := range streams {
			if i%2 == 0 {
				s.end() // Envoy resets it
			} else {
				close(s.in)
			}
		}
		for _, s := range streams {
			<-s.err
		}
		asynctest.Await(t, "what the requests came to is known", h.allEnded)
		h.nothingHeld()
		for _, name := range []string{"isthmus_extproc_panics_total", "isthmus_panics_total"} {
			if n := h.counter(t, name); n != 0 {
				t.Fatalf("%s is %v:\n%s", name, n, h.log)
			}
		}
	})
}

// portClient is a client of the service's gRPC port that is not Envoy.
type portClient struct {
	conn   *grpc.ClientConn
	client extprocv3.ExternalProcessorClient
}

// listenAs serves a house as `isthmus serve` does, with a secret if there is one.
func (h *house) listenAs(secrets *Secrets) string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(wire.Codec()), grpc.StreamInterceptor(h.Admit(secrets)))
	h.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	h.t.Cleanup(func() { g.Stop(); serving.Wait() })
	return l.Addr().String()
}

func newPortClient(t testing.TB, at string) *portClient {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &portClient{conn, extprocv3.NewExternalProcessorClient(conn)}
}

// open opens a stream with this metadata.
func (s *portClient) open(ctx context.Context, metadata ...string) (extprocv3.ExternalProcessor_ProcessClient, error) {
	return s.client.Process(grpcmetadata.NewOutgoingContext(ctx, grpcmetadata.Pairs(metadata...)))
}

// fuzzPortFor is how long TestAClientWithoutTheSecretGetsNothing goes on; 0: a few hundred streams.
var fuzzPortFor = flag.Duration("fuzzport", 0, "how long random messages are sent to the port")

// TestAClientWithoutTheSecretGetsNothing sends random messages to a real port without a key: with
// a secret, every stream is refused; without one, no key is given away, nobody is
// dialled, and nothing stays.
func TestAClientWithoutTheSecretGetsNothing(t *testing.T) {
	for name, secrets := range map[string]*Secrets{"a port with a secret": known(t, "the-secret-of-the-port"), "an insecure port": {}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters+"general_settings: {master_key: sk-master}\n")
			h.runtime.log = slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelError}))
			var dialled atomic.Int64
			h.peers = peer.NewSet(peer.Options{Log: h.Server.log, Guard: h.guard, Dial: func(string) (peer.Conn, error) {
				dialled.Add(1)
				return nil, errors.New("nobody is to be dialled")
			}})
			s := newPortClient(t, h.listenAs(secrets))
			random := mathrand.New(mathrand.NewPCG(1, 2))
			var before runtime.MemStats
			end := time.Now().Add(*fuzzPortFor)
			for n := 0; n < 400 || time.Now().Before(end); n++ {
				s.visit(t, random, name == "an insecure port")
				if n == 100 {
					before = memory()
				}
			}
			asynctest.Await(t, "every request has ended", h.allEnded)
			h.nothingHeld()
			if after := memory(); after.HeapObjects > 2*before.HeapObjects+10_000 {
				t.Errorf("%d objects were on the heap, then %d", before.HeapObjects, after.HeapObjects)
			}
			if n := dialled.Load(); n != 0 {
				t.Errorf("%d addresses were dialled", n)
			}
			for _, name := range []string{"isthmus_extproc_panics_total", "isthmus_panics_total"} {
				if n := h.counter(t, name); n != 0 {
					t.Errorf("%s is %v:\n%s", name, n, h.log)
				}
			}
		})
	}
}

func known(t *testing.T, text string) *Secrets {
	s := &Secrets{}
	if err := s.Set([]secret.Text{secret.New(text)}); err != nil {
		t.Fatal(err)
	}
	return s
}

func memory() (m runtime.MemStats) {
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// visit opens one stream and sends some messages, in any order.
func (s *portClient) visit(t *testing.T, random *mathrand.Rand, open bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	filter := []string{names.FilterRequest, names.FilterRetry, names.FilterFailure, names.FilterOpening, "else"}[random.IntN(5)]
	stream, err := s.open(ctx, names.KeyFilter, filter, names.KeyPlan, "priority_group", names.KeySecret, "a-guess-of-a-secret")
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan error, 1)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				received <- err
				return
			}
			text, _ := proto.Marshal(answer)
			for _, key := range []string{"sk-a", "sk-b", "sk-master"} {
				if bytes.Contains(text, []byte(key)) {
					t.Errorf("the client got the key %s", key)
				}
			}
			if !open {
				t.Error("the client got an answer")
			}
		}
	}()
	for range random.IntN(7) {
		if stream.Send(anyMessage(byte(random.IntN(8)), byte(random.IntN(256)), nil)) != nil {
			break
		}
	}
	_ = stream.CloseSend()
	err = <-received
	if !open && status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream without the secret ended with %v", err)
	}
}

func TestTheSecretIsAskedForBeforeAnyMessageIsRead(t *testing.T) {
	h := newHouse(t, twoSisters)
	secrets := known(t, "the-secret-of-the-port")
	if err := secrets.Set([]secret.Text{secret.New("a-new-secret-of-the-port"), secret.New("the-secret-of-the-port")}); err != nil {
		t.Fatal(err)
	}
	s := newPortClient(t, h.listenAs(secrets))
	for name, tc := range map[string]struct {
		said []string
		code codes.Code
	}{
		"none":      {nil, codes.Unauthenticated},
		"a wrong":   {[]string{names.KeySecret, "the-secret-of-the-porT"}, codes.Unauthenticated},
		"an empty":  {[]string{names.KeySecret, ""}, codes.Unauthenticated},
		"a part":    {[]string{names.KeySecret, "the-secret"}, codes.Unauthenticated},
		"two":       {[]string{names.KeySecret, "the-secret-of-the-port", names.KeySecret, "x"}, codes.Unauthenticated},
		"the right": {[]string{names.KeySecret, "the-secret-of-the-port"}, codes.OK},
		"the new":   {[]string{names.KeySecret, "a-new-secret-of-the-port"}, codes.OK},
	} {
		stream, err := s.open(t.Context(), append(tc.said, names.KeyFilter, names.FilterRequest)...)
		if err != nil {
			t.Fatal(err)
		}
		if tc.code == codes.OK {
			_ = stream.CloseSend()
		}
		_, err = stream.Recv() // nothing was sent: it is refused all the same
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if status.Code(err) != tc.code {
			t.Errorf("%s: %v, want %v", name, err, tc.code)
		}
		logs, err := accesslogv3.NewAccessLogServiceClient(s.conn).StreamAccessLogs(grpcmetadata.NewOutgoingContext(t.Context(),
			grpcmetadata.Pairs(tc.said...)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = logs.CloseAndRecv(); status.Code(err) != tc.code {
			t.Errorf("%s, the access log: %v, want %v", name, err, tc.code)
		}
	}
}
