package extproc

import (
	"strconv"
	"testing"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// A failed attempt whose body would not be read is judged by its headers, and
// Envoy holds nothing of it.
func TestAnErrorThatIsLongerThanWhatIsReadIsJudgedByItsHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		id     string // "": the exchange's
		length string
		unread bool // decided with the headers
		retry  bool
	}{
		"as long as what is read":     {length: strconv.Itoa(maxJudged)},
		"longer":                      {length: strconv.Itoa(maxJudged + 1), unread: true, retry: true},
		"no length":                   {},
		"no number":                   {length: "many"},
		"of an exchange that is gone": {id: "gone", length: "10", unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			_, id := h.begin(h.open(names.FilterRequest), question)
			if tc.id != "" {
				id = tc.id
			}
			fields := []string{":status", "500", "content-type", "application/json"}
			if tc.length != "" {
				fields = append(fields, "content-length", tc.length)
			}
			f := h.open(names.FilterFailure)
			head := responseHead(1, false, fields...)
			head.MetadataContext = named(id)
			answer := f.ask(head)
			mode := answer.GetModeOverride()
			if unread := mode != nil && mode.GetResponseBodyMode() == modev3.ProcessingMode_NONE; unread != tc.unread {
				t.Errorf("the mode is %v, want the body unread: %v", mode, tc.unread)
			}
			set, _ := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation())
			if planned := len(planOf(answer)) > 0; planned != tc.retry || planned && set["x-isthmus-retry"] == "" {
				t.Errorf("the headers are %v, with the plan %v; want a retry: %v", set, planOf(answer), tc.retry)
			}
		})
	}
}

// Google tells its waits in the body alone.
func TestADeploymentCoolsForTheWaitThatOnlyTheErrorsBodyTells(t *testing.T) {
	h := newHouse(t, twoSisters)
	_, id := h.begin(h.open(names.FilterRequest), question)
	f := h.open(names.FilterFailure)
	head := responseHead(1, false, ":status", "429", "content-type", "application/json")
	head.MetadataContext = named(id)
	f.ask(head)
	before := time.Now()
	f.ask(responsePiece(`{"error":{"message":"quota","details":[{"retryDelay":"38s"}]}}`, true))
	state := h.router.State(h.router.Deployments()[0])
	if wait := state.Until.Sub(before); wait < 30*time.Second {
		t.Errorf("it cools for %v", wait)
	}
}

// Envoy waits where it is told to, however it is told the plan.
func TestEnvoyIsToldHowLongToWaitBeforeTheSameDeploymentAgain(t *testing.T) {
	const alone = `model_list:
- {model_name: m, litellm_params: {model: openai/up, api_base: "http://a.test/v1", api_key: sk-a}}
router_settings: {num_retries: 2}
`
	for _, plan := range []string{names.PlanPriorityGroup, names.PlanComposite} {
		for config, want := range map[string]string{alone: "2", twoSisters: ""} {
			h := newHouse(t, config)
			_, id := h.begin(h.openWith(names.FilterRequest, plan), question)
			head := responseHead(1, true, ":status", "429", "retry-after", "2")
			head.MetadataContext = named(id)
			set, _ := changes(h.openWith(names.FilterFailure, plan).ask(head).GetResponseHeaders().GetResponse().GetHeaderMutation())
			if got, told := set[names.HeaderBackoff]; got != want || told != (want != "") || set[names.HeaderRetry] == "" {
				t.Errorf("%s: a pause of %q, want %q; retry %q", plan, got, want, set[names.HeaderRetry])
			}
		}
	}
}
