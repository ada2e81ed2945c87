package extproc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	grpcmetadata "google.golang.org/grpc/metadata"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// unequal are two deployments of which the first has a shorter time.
const unequal = `model_list:
- {model_name: m, litellm_params: {model: openai/a, api_base: "http://a.test/v1", api_key: k, order: 1, timeout: 2}, model_info: {id: a}}
- {model_name: m, litellm_params: {model: openai/b, api_base: "http://b.test/v1", api_key: k, order: 2, timeout: 30}, model_info: {id: b}}
router_settings: {num_retries: 1}
`

// The clusters of the deployments bound an attempt as a whole: what Envoy is told
// besides lifts that where the bound is another.
func TestEnvoyIsToldHowLongAnAttemptMayTake(t *testing.T) {
	const (
		idle, perTry, whole = names.HeaderIdle, "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-stream-duration-ms"
		a, b                = "deployment/a/a.test:80", "deployment/b/b.test:80"
	)
	stream := strings.Replace(question, "{", `{"stream":true,`, 1)
	own := func(body string) string { return strings.Replace(body, "{", `{"timeout":7,`, 1) }
	for name, tc := range map[string]struct {
		body    string
		bounded bool // the Envoy has the timeouts in its clusters
		want    map[string]string
		plan    []string // clusters, in order
	}{
		"a request":                              {question, true, map[string]string{idle: "30000"}, []string{a, b}},
		"a stream":                               {stream, true, map[string]string{idle: "30000", whole: "0"}, []string{a + "/stream", b}},
		"a request with a time of its own":       {own(question), true, map[string]string{perTry: "7000", whole: "0"}, []string{a, b}},
		"a stream with a time of its own":        {own(stream), true, map[string]string{perTry: "7000", whole: "0"}, []string{a, b}},
		"a stream, and an Envoy without theirs":  {stream, false, map[string]string{idle: "30000", whole: "0"}, []string{a, b}},
		"a request, and an Envoy without theirs": {question, false, map[string]string{idle: "30000"}, []string{a, b}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, unequal)
			f := h.unopened(names.FilterRequest, names.PlanPriorityGroup)
			if tc.bounded {
				md, _ := grpcmetadata.FromIncomingContext(f.ctx)
				f.ctx = grpcmetadata.NewIncomingContext(f.ctx, grpcmetadata.Join(md, grpcmetadata.Pairs(names.KeyTimeouts, names.TimeoutsOfClusters)))
			}
			go func() { f.err <- h.Process(f) }()
			answer, _ := h.begin(f, tc.body)
			set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation())
			got := map[string]string{}
			for _, name := range []string{idle, perTry, whole} {
				if v, ok := set[name]; ok {
					got[name] = v
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(append(tc.plan, names.EndCluster), planOf(answer)); diff != "" {
				t.Errorf("the plan (-want +got):\n%s", diff)
			}
		})
	}
}
