package upstream_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestRefuseNamesEveryLackingParameter(t *testing.T) {
	target := &upstream.Target{Provider: "ollama"}
	if err := target.Refuse(nil); err != nil {
		t.Errorf("nothing lacking: %v", err)
	}
	want := upstream.BadRequest("logit_bias", "ollama does not support parameters: logit_bias, audio; set drop_params: true to drop them")
	if diff := cmp.Diff(error(want), target.Refuse([]string{"logit_bias", "audio"})); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
	target.DropParams = true
	if err := target.Refuse([]string{"logit_bias"}); err != nil {
		t.Errorf("drop_params: %v", err)
	}
}
