package extproc

import (
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/limit"
	"github.com/isthmus-proxy/isthmus/routing/store"
)

// threeSisters are walked in order a, b, a, b … when their group has retries.
const threeSisters = `model_list:
- {model_name: m, litellm_params: {model: openai/up-a, api_base: "http://a.test/v1", api_key: sk-a, order: 1}, model_info: {id: a}}
- {model_name: m, litellm_params: {model: openai/up-b, api_base: "http://b.test/v1", api_key: sk-b, order: 2}, model_info: {id: b}}
- {model_name: n, litellm_params: {model: openai/up-c, api_base: "http://c.test/v1", api_key: sk-c}, model_info: {id: c}}
router_settings: {num_retries: 3, fallbacks: [{m: [n]}]}
`

// attempt is what the retry filter of an Envoy with fixed orders says of an
// attempt: Envoy has chosen this deployment's host.
func (h *house) attempt(id string, n int, deployment string) *extprocv3.ProcessingResponse {
	h.t.Helper()
	f := h.openWith(names.FilterRetry, "aggregate")
	m := requestHeaders(false, ":method", "POST")
	m.Attributes, m.MetadataContext = attrs(n, names.AttributeDeployment, deployment), named(id)
	answer := f.ask(m)
	if err := f.close(); err != nil {
		h.t.Errorf("the retry filter's stream ended with %v", err)
	}
	return answer
}

func TestEnvoysWithFixedOrdersAreGivenAClusterAndTheNumberOfItsAttempts(t *testing.T) {
	for plan, retries := range map[string]string{"composite": "7", "aggregate": "2"} {
		h := newHouse(t, threeSisters)
		answer, _ := h.begin(h.openWith(names.FilterRequest, plan), question)
		set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation())
		if set["x-isthmus-cluster"] != "isthmus-order/m/deployment/a/a.test:80" || set["x-envoy-max-retries"] != retries {
			t.Errorf("%s: cluster %q, %q retries; want %s", plan, set["x-isthmus-cluster"], set["x-envoy-max-retries"], retries)
		}
		if got := planOf(answer); got != nil {
			t.Errorf("%s: a plan that nobody reads: %v", plan, got)
		}
	}
}

func TestAnAttemptIsWrittenForTheDeploymentThatEnvoyChose(t *testing.T) {
	for name, tc := range map[string]struct {
		chosen    []string // of attempts 1, 2 …
		key, host string   // of the last
	}{
		"attempt 1 as planned is left as it is": {[]string{"a"}, "", ""},
		"attempt 1 on another":                  {[]string{"b"}, "sk-b", "b.test"},
		"attempt 2 as planned":                  {[]string{"a", "b"}, "sk-b", "b.test"},
		"attempt 2 past one":                    {[]string{"a", "c"}, "sk-c", "c.test"},
		"attempt 3 on the one that was passed":  {[]string{"b", "c", "a"}, "sk-a", "a.test"},
		"attempt 2 on the same again":           {[]string{"a", "a"}, "sk-a", "a.test"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, threeSisters)
			f := h.openWith(names.FilterRequest, "aggregate")
			_, id := h.begin(f, question)
			var answer *extprocv3.ProcessingResponse
			for i, deployment := range tc.chosen {
				answer = h.attempt(id, i+1, deployment)
			}
			set, _ := changes(answer.GetRequestHeaders().GetResponse().GetHeaderMutation())
			if got := strings.TrimPrefix(set["authorization"], "Bearer "); got != tc.key || set[":authority"] != tc.host {
				t.Errorf("the last attempt goes to %q with the key %q, want %q %q", set[":authority"], got, tc.host, tc.key)
			}
			for _, d := range h.router.Deployments() {
				want := int64(0)
				if d.ID == tc.chosen[len(tc.chosen)-1] {
					want = 1
				}
				if d.InFlight() != want {
					t.Errorf("%d attempts in flight on %s, want %d", d.InFlight(), d.ID, want)
				}
			}
			if err := f.close(); err != nil {
				t.Fatal(err)
			}
			for _, d := range h.router.Deployments() {
				if d.InFlight() != 0 {
					t.Errorf("%d attempts in flight on %s after the end", d.InFlight(), d.ID)
				}
			}
		})
	}
}

func TestAnAttemptOnADeploymentOfNoPlanIsStopped(t *testing.T) {
	h := newHouse(t, threeSisters)
	_, id := h.begin(h.openWith(names.FilterRequest, "aggregate"), question)
	answer := h.attempt(id, 1, "somebody-else")
	if answer.GetImmediateResponse().GetStatus().GetCode() != 503 || strings.Contains(answer.String(), "sk-") {
		t.Errorf("answer = %T", answer.GetResponse())
	}
}

func TestWhatNoFailureFilterSawIsJudgedInTheResponsePhase(t *testing.T) {
	const body = `{"error":{"message":"too much","type":null,"code":null}}`
	for name, ended := range map[string]bool{"with a body": false, "without one": true} {
		h := newHouse(t, threeSisters)
		f := h.openWith(names.FilterRequest, "aggregate")
		_, id := h.begin(f, question)
		h.attempt(id, 1, "a")
		head := responseHead(1, ended, ":status", "429", "retry-after", "7", "x-account", "canary")
		head.Attributes = attrs(1, "response.code_details", "via_upstream")
		answer := f.ask(head)
		set, removed := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation())
		text := string(answer.GetResponseHeaders().GetResponse().GetBodyMutation().GetBody())
		if !ended {
			if !removed["x-account"] {
				t.Errorf("%s: the provider's headers go on", name)
			}
			common := f.ask(responsePiece(body, true)).GetResponseBody().GetResponse()
			set, _ = changes(common.GetHeaderMutation())
			text = string(common.GetBodyMutation().GetBody())
			if !strings.Contains(text, "too much") {
				t.Errorf("%s: %s", name, text)
			}
		}
		if set[":status"] != "429" || set["retry-after"] != "7" || !strings.Contains(text, `"rate_limit_error"`) {
			t.Errorf("%s: %v %s", name, set, text)
		}
		if err := f.close(); err != nil {
			t.Fatal(err)
		}
		if n := h.router.Deployments()[0].InFlight(); n != 0 {
			t.Errorf("%s: %d attempts in flight", name, n)
		}
	}
}

func TestAPlanHasAGroupForEachAttemptAndAnEnd(t *testing.T) {
	plan := &routing.Plan{
		Hops: []routing.Hop{{Cluster: "a"}, {Cluster: "b"}},
	}
	group := func(name, cluster string) any {
		return map[string]any{"name": name, "clusters": []any{map[string]any{"cluster_name": cluster, "weight": 1}}}
	}
	want, err := structpb.NewStruct(map[string]any{
		"priority_groups": []any{group("attempt-1", "a"), group("attempt-2", "b"), group("attempt-3", names.EndCluster)},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := &structpb.Struct{}
	if err := proto.Unmarshal(planMetadata(plan), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func BenchmarkPlanMetadata(b *testing.B) {
	plan := &routing.Plan{}
	for range 4 {
		plan.Hops = append(plan.Hops, routing.Hop{Cluster: "deployment/gpt-4o-12345678"})
	}
	b.ReportAllocs()
	for b.Loop() {
		planMetadata(plan)
	}
}

// requestsIn is how many requests the limits of a deployment count in this minute.
func (h *house) requestsIn(deployment string) int64 {
	h.t.Helper()
	peers, err := h.slotsIn.Beat(h.t.Context(), store.Beat{Watch: []string{"d/" + deployment + "/rpm"}})
	if err != nil || len(peers.Used) != 1 {
		h.t.Fatalf("the store says %v, %v", peers.Used, err)
	}
	return peers.Used[0]
}

func TestAnAttemptIsChargedToTheDeploymentThatEnvoyChose(t *testing.T) {
	budget := limit.Budget{RPM: 10, MaxParallel: 10}
	h := limitedHouse(t, budget, budget, nil)
	f := h.openWith(names.FilterRequest, "aggregate")
	_, id := h.begin(f, question)
	h.attempt(id, 1, "b")
	h.attempt(id, 1, "b") // Envoy may ask twice
	if a, b := h.requestsIn("a"), h.requestsIn("b"); a != 0 || b != 1 {
		t.Errorf("Envoy has passed over a: %d requests are charged to a and %d to b, want them on b", a, b)
	}
	f.ask(responseHead(1, true, ":status", "200", "content-type", "application/json"))
	h.end(f, 0)
	if a, b := h.requestsIn("a"), h.requestsIn("b"); a != 0 || b != 1 {
		t.Errorf("after the end %d requests are charged to a and %d to b", a, b)
	}
}

func TestAnAttemptOnADeploymentThatEnvoyChoseHasToHaveRoomThere(t *testing.T) {
	h := limitedHouse(t, limit.Budget{RPM: 10}, limit.Budget{RPM: 1}, nil)
	for i, want := range []int{0, 429} {
		f := h.openWith(names.FilterRequest, "aggregate")
		_, id := h.begin(f, question)
		if got := int(h.attempt(id, 1, "b").GetImmediateResponse().GetStatus().GetCode()); got != want {
			t.Errorf("request %d is answered %d, want %d", i+1, got, want)
		}
		_ = f.close()
	}
	if a := h.requestsIn("a"); a != 0 {
		t.Errorf("%d requests are charged to a, which was never asked", a)
	}
}

// The last error of an Envoy without a failure filter is judged when no attempt can
// follow any more: nothing is reserved for one.
func TestNothingIsReservedForAnAttemptThatIsNeverMade(t *testing.T) {
	for name, ended := range map[string]bool{"with a body": false, "without one": true} {
		t.Run(name, func(t *testing.T) {
			budget := limit.Budget{RPM: 10, MaxParallel: 10}
			h := limitedHouse(t, budget, budget, nil)
			f := h.openWith(names.FilterRequest, "aggregate")
			_, id := h.begin(f, question)
			h.attempt(id, 1, "a")
			head := responseHead(1, ended, ":status", "500")
			head.Attributes = attrs(1, "response.code_details", "via_upstream")
			f.ask(head)
			if !ended {
				f.ask(responsePiece(`{"error":{"message":"broken"}}`, true))
			}
			if a, b := h.requestsIn("a"), h.requestsIn("b"); a != 1 || b != 0 {
				t.Errorf("%d requests are charged to a and %d to b, want the one attempt on a alone", a, b)
			}
			h.end(f, 0)
			if a, b := h.requestsIn("a"), h.requestsIn("b"); a != 1 || b != 0 {
				t.Errorf("after the end %d requests are charged to a and %d to b", a, b)
			}
		})
	}
}
