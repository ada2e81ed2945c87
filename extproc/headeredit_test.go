package extproc

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestAHeaderEditIsAHeaderMutationOnTheWire(t *testing.T) {
	edit := &headerEdit{}
	edit.put(":path", "/v1/é")
	edit.drop("cookie")
	edit.put("x-empty", "")
	text, err := proto.Marshal(edit.mutation())
	if err != nil {
		t.Fatal(err)
	}
	got := &extprocv3.HeaderMutation{}
	if err := proto.Unmarshal(text, got); err != nil {
		t.Fatal(err)
	}
	option := func(name, value string) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, RawValue: []byte(value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	want := &extprocv3.HeaderMutation{
		SetHeaders:    []*corev3.HeaderValueOption{option(":path", "/v1/é"), option("x-empty", "")},
		RemoveHeaders: []string{"cookie"},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("mutation (-want +got):\n%s", diff)
	}
	if !edit.sets(":path") || edit.sets("cookie") {
		t.Error("sets does not know what is set")
	}
	if (*headerEdit)(nil).mutation() != nil || (&headerEdit{}).mutation() != nil {
		t.Error("no changes are a message, want none")
	}
}
