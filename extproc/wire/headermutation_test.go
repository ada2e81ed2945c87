package wire

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestAHeaderEditIsAHeaderMutationOnTheWire(t *testing.T) {
	edit := &HeaderMutation{}
	edit.Set(":path", "/v1/é")
	edit.Remove("cookie")
	edit.Set("x-empty", "")
	text, err := proto.Marshal(edit.proto())
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
	if !edit.IsSet(":path") || edit.IsSet("cookie") {
		t.Error("IsSet does not know what is set")
	}
	if (*HeaderMutation)(nil).proto() != nil || (&HeaderMutation{}).proto() != nil {
		t.Error("no changes are a message, want none")
	}
}

func TestAHeaderThatIsRightAsItIsIsNotWritten(t *testing.T) {
	for name, tc := range map[string]struct {
		present upstream.Header
		put     []string // values, one after the other
		want    []string // what is written
	}{
		"absent":                      {nil, []string{"a"}, []string{"a"}},
		"present with this value":     {upstream.Header{{Name: "x", Value: "a"}}, []string{"a"}, nil},
		"present with another":        {upstream.Header{{Name: "x", Value: "b"}}, []string{"a"}, []string{"a"}},
		"another with this value":     {upstream.Header{{Name: "y", Value: "a"}}, []string{"a"}, []string{"a"}},
		"present twice":               {upstream.Header{{Name: "x", Value: "a"}, {Name: "x", Value: "a"}}, []string{"a"}, []string{"a"}},
		"put to another value before": {upstream.Header{{Name: "x", Value: "a"}}, []string{"b", "a"}, []string{"b", "a"}},
		"put to it before":            {upstream.Header{{Name: "x", Value: "a"}}, []string{"a", "b"}, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			edit := &HeaderMutation{Present: tc.present}
			for _, value := range tc.put {
				edit.Set("x", value)
			}
			edit.RemoveOthers(tc.present, func(name string) bool { return name == "y" })
			text, err := proto.Marshal(edit.proto())
			if err != nil {
				t.Fatal(err)
			}
			got := &extprocv3.HeaderMutation{}
			if err := proto.Unmarshal(text, got); err != nil {
				t.Fatal(err)
			}
			var written []string
			for _, h := range got.GetSetHeaders() {
				written = append(written, string(h.GetHeader().GetRawValue()))
			}
			if diff := cmp.Diff(tc.want, written); diff != "" || len(got.GetRemoveHeaders()) > 0 {
				t.Errorf("removed %v, written (-want +got):\n%s", got.GetRemoveHeaders(), diff)
			}
		})
	}
}
