package extproc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing"
)

// wire sends a struct over the wire, as Envoy gets it.
func wire(t testing.TB, s *structpb.Struct) *structpb.Struct {
	t.Helper()
	text, err := proto.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out := &structpb.Struct{}
	if err := proto.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMetadataIsAStructOnTheWire(t *testing.T) {
	inner := metadata(nil).text("id", "é").number("tokens", 12.5).text("", "")
	got := metadata(nil).object("isthmus", inner).list("items", metadata(nil).item(inner).item(nil)).number("n", -1)
	want, err := structpb.NewStruct(map[string]any{
		"isthmus": map[string]any{"id": "é", "tokens": 12.5, "": ""},
		"items":   []any{map[string]any{"id": "é", "tokens": 12.5, "": ""}, map[string]any{}},
		"n":       -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, wire(t, got.proto()), protocmp.Transform()); diff != "" {
		t.Errorf("struct (-want +got):\n%s", diff)
	}
	if metadata(nil).proto() != nil {
		t.Error("no metadata is an empty message, want none")
	}
}

func TestAPlanHasAGroupForEachAttemptAndAnEnd(t *testing.T) {
	plan := &routing.Plan{Hops: []routing.Hop{{Deployment: &routing.Deployment{Cluster: "a"}}, {Deployment: &routing.Deployment{Cluster: "b"}}}}
	group := func(name, cluster string) any {
		return map[string]any{"name": name, "clusters": []any{map[string]any{"cluster_name": cluster, "weight": 1}}}
	}
	want, err := structpb.NewStruct(map[string]any{
		"priority_groups": []any{group("attempt-1", "a"), group("attempt-2", "b"), group("attempt-3", names.EndCluster)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, wire(t, planMetadata(plan).proto()), protocmp.Transform()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func BenchmarkPlanMetadata(b *testing.B) {
	plan := &routing.Plan{}
	for range 4 {
		plan.Hops = append(plan.Hops, routing.Hop{Deployment: &routing.Deployment{Cluster: "deployment/gpt-4o-12345678"}})
	}
	b.ReportAllocs()
	for b.Loop() {
		planMetadata(plan)
	}
}
