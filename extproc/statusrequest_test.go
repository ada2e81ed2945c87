package extproc

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/status"
)

func TestTheStatusPageTellsOfARequestAndItsAttempts(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	h.fail(id, 1, 500, `{"error":{"message":"broken at http://a.test with sk-a"}}`)
	h.retry(id, 2, ":path", "/v1/chat/completions")
	f.end()
	<-f.err
	text := h.history()
	var got struct {
		Sections struct {
			Requests map[string]status.Request `json:"requests"`
		} `json:"sections"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	want := status.Request{ID: id, Endpoint: "chat/completions", Model: "m", Aborted: true, Attempts: []status.Attempt{
		{Deployment: "a", Group: "m", Status: 500, Failed: true, Reason: "500 server_error"}, {Deployment: "b", Group: "m"},
	}}
	times := cmp.Options{cmpopts.IgnoreFields(status.Request{}, "Ended", "Took"), cmpopts.IgnoreFields(status.Attempt{}, "After", "Took")}
	if diff := cmp.Diff(want, got.Sections.Requests["0"], times); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	for _, v := range h.runtime.Current().Deployments() {
		if used := v.State.Used; v.Deployment.ID == "a" && (used.Failures != 1 || used.Requests != 1) {
			t.Errorf("the deployment: %+v", used)
		}
	}
	for _, secret := range []string{"sk-a", "sk-b", "a.test", "b.test", `"hi"`, "broken at"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the data: %s", secret, text)
		}
	}
}
