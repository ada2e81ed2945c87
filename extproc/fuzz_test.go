package extproc

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
	"github.com/isthmus-proxy/isthmus/translate/observetest"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
)

// busyHouse is a house with limits, a cache, and the counting of tokens.
func busyHouse(t testing.TB) *house {
	h := newHouse(t, twoSisters)
	h.gateways.log = slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelError})) // bugs alone
	local, err := cache.NewLocal(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	limiter := limit.New(limit.Options{
		Store: store.NewShared(store.SharedOptions{Now: time.Now, Log: slog.New(slog.DiscardHandler)}), Now: time.Now, MaxParallel: 1000,
		Deployments: []limit.Deployment{{ID: "a", Group: "m", Budget: limit.Budget{MaxParallel: 3}}, {ID: "b", Group: "m"}},
	})
	responses := cache.New(cache.Config{Blobs: local, Miss: cache.ErrMiss, MaxWait: 5 * time.Millisecond})
	h.gateways.Use(h.router, Settings{Limiter: limiter, Cache: responses, Tokens: tokens.New(), MaxHold: 10 * time.Millisecond})
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
		`{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}`, "data: {\"id\":\"c\",\"choices\":[]}\n\n",
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
		m = responseHead(attempt, ended, ":status", code, "content-type", []string{"application/json", "text/event-stream", "text/html", ""}[detail>>2&3])
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
	h := busyHouse(f)
	f.Fuzz(func(t *testing.T, filters, script []byte) {
		if len(filters) == 0 || len(filters) > 8 || len(script) > 600 {
			return
		}
		h.t = t
		streams := make([]*filterStream, len(filters))
		for i, b := range filters {
			carry := []string{"priority_group", "composite", "aggregate"}[b>>4%3]
			streams[i] = h.openWith([]string{filterRequest, filterRetry, filterFailure}[b%3], carry)
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
		observetest.Await(t, "what the requests came to is known", func() bool { return h.gateways.Open() == 0 })
		h.nothingHeld()
		for _, name := range []string{"isthmus_extproc_panics_total", "isthmus_panics_total"} {
			if n := h.counter(t, name); n != 0 {
				t.Fatalf("%s is %v:\n%s", name, n, h.log)
			}
		}
	})
}

// stranger speaks to a real gRPC port.
type stranger struct {
	client extprocv3.ExternalProcessorClient
}

// listenAs serves a house as `isthmus serve` does, with a secret if there is one.
func (h *house) listenAs(secrets *Secrets) string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(Codec()), grpc.StreamInterceptor(h.Admit(secrets)))
	h.Register(g)
	var serving sync.WaitGroup
	serving.Go(func() { _ = g.Serve(l) })
	h.t.Cleanup(func() { g.Stop(); serving.Wait() })
	return l.Addr().String()
}

func newStranger(t testing.TB, at string) *stranger {
	t.Helper()
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &stranger{extprocv3.NewExternalProcessorClient(conn)}
}

// open opens a stream that says this.
func (s *stranger) open(ctx context.Context, said ...string) (extprocv3.ExternalProcessor_ProcessClient, error) {
	return s.client.Process(grpcmetadata.NewOutgoingContext(ctx, grpcmetadata.Pairs(said...)))
}
