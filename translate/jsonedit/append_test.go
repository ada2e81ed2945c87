package jsonedit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

func TestAppendMemberSeparatesAllButTheFirst(t *testing.T) {
	got := []byte(`{`)
	got = jsonedit.AppendMember(got, "a", []byte(`1.50`))
	got = jsonedit.AppendName(got, `b"`)
	got = append(got, '[')
	got = append(jsonedit.AppendComma(got), "true"...)
	got = append(jsonedit.AppendComma(got), "null"...)
	got = append(got, "]}"...)
	if diff := cmp.Diff(`{"a":1.50,"b\"":[true,null]}`, string(got)); diff != "" {
		t.Errorf("object written member by member (-want +got):\n%s", diff)
	}
}
