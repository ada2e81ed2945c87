package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
)

// sent is a struct as Envoy gets it, over the wire.
func sent(t testing.TB, s *structpb.Struct) *structpb.Struct {
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
	inner := Metadata(nil).Text("id", "é").Number("tokens", 12.5).Text("", "")
	got := Metadata(nil).Object("isthmus", inner).List("items", Metadata(nil).Item(inner).Item(nil)).Number("n", -1)
	want, err := structpb.NewStruct(map[string]any{
		"isthmus": map[string]any{"id": "é", "tokens": 12.5, "": ""},
		"items":   []any{map[string]any{"id": "é", "tokens": 12.5, "": ""}, map[string]any{}},
		"n":       -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, sent(t, got.proto()), protocmp.Transform()); diff != "" {
		t.Errorf("struct (-want +got):\n%s", diff)
	}
	if Metadata(nil).proto() != nil {
		t.Error("no metadata is an empty message, want none")
	}
}
