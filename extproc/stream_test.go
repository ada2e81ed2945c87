package extproc

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/extproc/peer"
	"github.com/isthmus-proxy/isthmus/extproc/wire"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// house is a Server over a model config, without an Envoy: the tests speak
// Envoy's part.
type house struct {
	*Server
	t      testing.TB
	router *routing.Router
	log    *asynctest.Text
	counts *prometheus.Registry

	slotsIn *store.Shared // of the limits; nil: there are none
}

func newHouse(t testing.TB, text string) *house {
	t.Helper()
	c, _, err := config.Parse("test.yaml", []byte(text), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	router, err := routing.New(c, routing.Options{Float: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	out := &asynctest.Text{}
	log := slog.New(slog.NewTextHandler(out, nil))
	counts := prometheus.NewRegistry()
	runtime := NewRuntime(metrics.New(counts, "test"), log)
	runtime.Use(router, Settings{MasterKey: c.MasterKey, MaxBody: c.MaxRequestBody})
	peers := peer.NewSet(peer.Options{Log: log, Guard: runtime.Guard(), Dial: func(address string) (peer.Conn, error) {
		return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}})
	h := &house{Server: NewServer(runtime, "", peers, log), t: t, router: router, log: out, counts: counts}
	t.Cleanup(func() { h.Close(); peers.Close() })
	return h
}

// filterStream is one gRPC stream of one filter.
type filterStream struct {
	grpc.ServerStream
	t    testing.TB
	ctx  context.Context
	end  context.CancelFunc // Envoy resets the stream
	said grpcmetadata.MD    // the response's headers
	in   chan *extprocv3.ProcessingRequest
	out  chan *extprocv3.ProcessingResponse
	err  chan error // what Process returned
}

func (f *filterStream) Context() context.Context { return f.ctx }

func (f *filterStream) SetHeader(md grpcmetadata.MD) error {
	f.said = grpcmetadata.Join(f.said, md)
	return nil
}

// Send gives the test what Envoy would get: the message after the wire.
func (f *filterStream) Send(m *extprocv3.ProcessingResponse) error { return f.SendMsg(m) }

func (f *filterStream) SendMsg(m any) error {
	text, err := wire.Codec().Marshal(m)
	if err != nil {
		return err
	}
	got := &extprocv3.ProcessingResponse{}
	if err := proto.Unmarshal(text.Materialize(), got); err != nil {
		return err
	}
	f.out <- got
	return nil
}

func (f *filterStream) Recv() (*extprocv3.ProcessingRequest, error) {
	select {
	case m, ok := <-f.in:
		if !ok {
			return nil, io.EOF
		}
		return m, nil
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
}

// open opens a stream as the named filter of an Envoy that carries plans so.
func (h *house) open(filter string) *filterStream { return h.openWith(filter, "priority_group") }

func (h *house) openWith(filter, plan string) *filterStream {
	f := h.unopened(filter, plan)
	go func() { f.err <- h.Process(f) }()
	return f
}

// unopened is a stream that nobody serves yet.
func (h *house) unopened(filter, plan string) *filterStream {
	md := grpcmetadata.Pairs(names.KeyFilter, filter, names.KeyPlan, plan)
	if plan != names.PlanAggregate {
		md.Set(names.KeyOpening, names.OpeningByRequest)
	}
	ctx, cancel := context.WithCancel(grpcmetadata.NewIncomingContext(h.t.Context(), md))
	f := &filterStream{
		t: h.t, ctx: ctx, end: cancel, in: make(chan *extprocv3.ProcessingRequest),
		out: make(chan *extprocv3.ProcessingResponse, 4), err: make(chan error, 1),
	}
	h.t.Cleanup(cancel)
	return f
}

// ask sends a message and returns its answer.
func (f *filterStream) ask(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
	f.t.Helper()
	select {
	case f.in <- m:
	case err := <-f.err:
		f.t.Fatalf("the stream ended before the message: %v", err)
	}
	return f.answer()
}

// feed sends a piece of a stream that is read in the mode Duplex, where not each has an
// answer, and waits until it was read. The answers are dropped.
func (f *filterStream) feed(m *extprocv3.ProcessingRequest) {
	f.t.Helper()
	f.in <- m
	f.in <- responsePiece("", false) // taken when the one before it was handled
	for {
		select {
		case <-f.out:
		default:
			return
		}
	}
}

func (f *filterStream) answer() *extprocv3.ProcessingResponse {
	f.t.Helper()
	a, err := f.next()
	if err != nil {
		f.t.Fatalf("the stream ended without an answer: %v", err)
	}
	if a == nil {
		f.t.Fatal("the stream ended without an answer")
	}
	return a
}

// close half-closes the stream, as Envoy does at a request's end, and waits.
func (f *filterStream) close() error {
	f.t.Helper()
	close(f.in)
	select {
	case err := <-f.err:
		return err
	case <-time.After(time.Minute):
		f.t.Fatal("the stream did not end within a minute")
		return nil
	}
}

// headerMap makes Envoy's header list of name, value, name, value …
func headerMap(fields ...string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for i := 0; i+1 < len(fields); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: fields[i], RawValue: []byte(fields[i+1])})
	}
	return m
}

// attrs makes the attributes of a message, as one of Envoy's filters sends them.
func attrs(attempt int, more ...string) map[string]*structpb.Struct {
	fields := map[string]*structpb.Value{"upstream.request_attempt_count": structpb.NewNumberValue(float64(attempt))}
	for i := 0; i+1 < len(more); i += 2 {
		fields[more[i]] = structpb.NewStringValue(more[i+1])
	}
	return map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: fields}}
}

// named is the metadata that Envoy forwards with a message of an upstream filter.
func named(id string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		names.NamespaceExchange: {Fields: map[string]*structpb.Value{"id": structpb.NewStringValue(id)}},
	}}
}

func requestHeaders(ended bool, fields ...string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{
		RequestHeaders: &extprocv3.HttpHeaders{Headers: headerMap(fields...), EndOfStream: ended},
	}}
}

func requestBody(text string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: []byte(text), EndOfStream: true},
	}}
}

func responseHead(attempt int, ended bool, fields ...string) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{
		Request: &extprocv3.ProcessingRequest_ResponseHeaders{
			ResponseHeaders: &extprocv3.HttpHeaders{Headers: headerMap(fields...), EndOfStream: ended},
		},
		Attributes: attrs(attempt),
	}
}

func responsePiece(text string, last bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{
		ResponseBody: &extprocv3.HttpBody{Body: []byte(text), EndOfStream: last},
	}}
}

// begun are the headers of a chat request, with those of a client's own.
func begun(fields ...string) []string {
	return append([]string{":method", "POST", ":path", "/v1/chat/completions", ":authority", "gateway", ":scheme", "http"}, fields...)
}

// begin sends a chat request up to its body and returns the answer to that and
// the exchange's id.
func (h *house) begin(f *filterStream, body string, fields ...string) (*extprocv3.ProcessingResponse, string) {
	h.t.Helper()
	return h.beginWith(f, body, begun(fields...))
}

// beginAt is begin for another path.
func (h *house) beginAt(f *filterStream, path, body string) (*extprocv3.ProcessingResponse, string) {
	h.t.Helper()
	return h.beginWith(f, body, []string{":method", "POST", ":path", path, ":authority", "gateway", ":scheme", "http"})
}

func (h *house) beginWith(f *filterStream, body string, fields []string) (*extprocv3.ProcessingResponse, string) {
	h.t.Helper()
	first := f.ask(requestHeaders(false, fields...))
	id := first.GetDynamicMetadata().GetFields()[names.NamespaceExchange].GetStructValue().GetFields()["id"].GetStringValue()
	if id == "" {
		h.t.Fatalf("the answer to the headers names no exchange: %T", first.GetResponse())
	}
	return f.ask(requestBody(body)), id
}

// fail opens a failure filter's stream for an attempt that was answered so.
func (h *house) fail(id string, attempt, status int, body string) *extprocv3.ProcessingResponse {
	h.t.Helper()
	f := h.open(names.FilterFailure)
	head := responseHead(attempt, body == "", ":status", strconv.Itoa(status), "content-type", "application/json")
	head.MetadataContext = named(id)
	answer := f.ask(head)
	if body != "" {
		answer = f.ask(responsePiece(body, true))
	}
	if err := f.close(); err != nil {
		h.t.Errorf("the failure filter's stream ended with %v", err)
	}
	return answer
}

// retry opens a retry filter's stream for an attempt.
func (h *house) retry(id string, attempt int, fields ...string) *extprocv3.ProcessingResponse {
	h.t.Helper()
	f := h.open(names.FilterRetry)
	m := requestHeaders(false, append([]string{":method", "POST", "x-envoy-attempt-count", strconv.Itoa(attempt)}, fields...)...)
	m.Attributes, m.MetadataContext = attrs(attempt), named(id)
	answer := f.ask(m)
	if err := f.close(); err != nil {
		h.t.Errorf("the retry filter's stream ended with %v", err)
	}
	return answer
}

// planOf lists the clusters of a plan that an answer carries.
func planOf(m *extprocv3.ProcessingResponse) []string {
	var out []string
	groups := m.GetDynamicMetadata().GetFields()[names.NamespacePlan].GetStructValue().GetFields()["priority_groups"].GetListValue().
		GetValues()
	for _, g := range groups {
		cluster := g.GetStructValue().GetFields()["clusters"].GetListValue().GetValues()[0]
		out = append(out, cluster.GetStructValue().GetFields()["cluster_name"].GetStringValue())
	}
	return out
}

// changes is what a header mutation removes and what is set after it: what it sets,
// and what it leaves of the headers that were there.
func changes(m *extprocv3.HeaderMutation, present ...string) (set map[string]string, removed map[string]bool) {
	set, removed = map[string]string{}, map[string]bool{}
	for i := 0; i+1 < len(present); i += 2 {
		set[present[i]] = present[i+1]
	}
	for _, name := range m.GetRemoveHeaders() {
		removed[name] = true
		delete(set, name)
	}
	for _, h := range m.GetSetHeaders() {
		set[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	return set, removed
}
