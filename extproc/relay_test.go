package extproc

import (
	"context"
	"math"
	"net"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// listen serves a house at a loopback address, under which it is known to the
// other replicas.
func (h *house) listen() string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(math.MaxInt32))
	h.Register(g)
	go func() { _ = g.Serve(l) }()
	h.t.Cleanup(g.Stop)
	h.replica = l.Addr().String()
	return h.replica
}

// knows makes replicas known to a house.
func (h *house) knows(addresses ...string) {
	h.t.Cleanup(h.peers.Follow("the test", func(context.Context) ([]string, error) { return addresses, nil }))
}

// namedAt is the forwarded metadata of an exchange on a replica.
func namedAt(id, replica string) *corev3.Metadata {
	md := named(id)
	md.FilterMetadata[names.NamespaceExchange].Fields["replica"] = structpb.NewStringValue(replica)
	return md
}

func TestAStreamAtAnotherReplicaIsServedByTheOneThatHasTheExchange(t *testing.T) {
	a, b := newHouse(t, twoSisters), newHouse(t, twoSisters)
	at := a.listen()
	b.listen()
	b.knows(at)
	f := a.open(names.FilterRequest)
	_, id := a.begin(f, question)

	failure := b.open(names.FilterFailure)
	head := responseHead(1, false, ":status", "500", "content-type", "application/json")
	head.MetadataContext = namedAt(id, at)
	if answer := failure.ask(head); answer.GetResponseHeaders() == nil {
		t.Fatalf("the headers were answered by %T", answer.GetResponse())
	}
	judged := failure.ask(responsePiece(`{"error":{"message":"broken"}}`, true))
	if set, _ := changes(judged.GetResponseBody().GetResponse().GetHeaderMutation()); set["x-isthmus-retry"] == "" ||
		len(planOf(judged)) != 3 {
		t.Errorf("the relayed judgement = %v, plan %v", set, planOf(judged))
	}
	if err := failure.close(); err != nil {
		t.Error(err)
	}

	retry := b.open(names.FilterRetry)
	m := requestHeaders(false, ":method", "POST", "x-envoy-attempt-count", "2", "authorization", "Bearer sk-a")
	m.Attributes, m.MetadataContext = attrs(2), namedAt(id, at)
	again := retry.ask(m)
	if body := string(again.GetRequestHeaders().GetResponse().GetBodyMutation().GetBody()); !strings.Contains(body, "up-b") {
		t.Errorf("the relayed attempt has the body %q", body)
	}
	if err := retry.close(); err != nil {
		t.Error(err)
	}
}

func TestARelayThatFindsNobodyIsAsAnUnknownExchange(t *testing.T) {
	b := newHouse(t, twoSisters)
	b.listen()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	_ = l.Close()
	b.knows(gone)
	for name, replica := range map[string]string{"a replica that is gone": gone, "its own address": b.replica, "no address": ""} {
		retry := b.open(names.FilterRetry)
		m := requestHeaders(false, "x-envoy-attempt-count", "2")
		m.Attributes, m.MetadataContext = attrs(2), namedAt("unknown", replica)
		if answer := retry.ask(m); answer.GetImmediateResponse().GetStatus().GetCode() != 503 {
			t.Errorf("%s: %T", name, answer.GetResponse())
		}
	}
}

func TestARelayedStreamGoesNoFurther(t *testing.T) {
	a, b := newHouse(t, twoSisters), newHouse(t, twoSisters)
	atA := a.listen()
	atB := b.listen()
	a.knows(atB)
	b.knows(atA)
	// Neither has the exchange; each would hand it to the other for ever.
	retry := b.open(names.FilterRetry)
	m := requestHeaders(false, "x-envoy-attempt-count", "2")
	m.Attributes, m.MetadataContext = attrs(2), namedAt("unknown", atA)
	a.replica = "elsewhere:1" // so that a does not know its own address
	if answer := retry.ask(m); answer.GetImmediateResponse().GetStatus().GetCode() != 503 {
		t.Errorf("answer = %T", answer.GetResponse())
	}
}
