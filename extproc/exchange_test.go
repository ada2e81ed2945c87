package extproc

import (
	"strings"
	"testing"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

const twoSisters = `model_list:
- {model_name: m, litellm_params: {model: openai/up-a, api_base: "http://a.test/v1", api_key: sk-a, order: 1}, model_info: {id: a}}
- model_name: m
  litellm_params: {model: anthropic/up-b, api_base: "http://b.test", api_key: sk-b, order: 2, headers: {x-b: only-b}}
  model_info: {id: b}
router_settings: {num_retries: 1}
`

const question = `{"model":"m","messages":[{"role":"user","content":"hi"}]}`

func TestTheFirstAttemptCarriesThePlanAndTheProvidersHeadersAlone(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	sent := []string{"authorization", "Bearer client", "cookie", "c=1", "x-isthmus-retry", "1", "x-envoy-max-retries", "9",
		"x-forwarded-for", "10.0.0.1", "traceparent", "00-1-2-3"}
	answer, id := h.begin(f, question, sent...)
	if diff := cmp.Diff([]string{"deployment/a/a.test:80", "deployment/b/b.test:80", "isthmus-end"}, planOf(answer)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	common := answer.GetRequestBody().GetResponse()
	if !common.GetClearRouteCache() {
		t.Error("the route is not chosen again: the plan would not be read")
	}
	if got := string(common.GetBodyMutation().GetBody()); got != `{"model":"up-a","messages":[{"role":"user","content":"hi"}]}` {
		t.Errorf("body = %s", got)
	}
	set, removed := changes(common.GetHeaderMutation(), begun(sent...)...)
	for name, want := range map[string]string{
		":method": "POST", ":path": "/v1/chat/completions", names.HeaderHost: "a.test", ":scheme": "http", "authorization": "Bearer sk-a",
		"accept-encoding": "identity", "content-length": "60", "x-envoy-max-retries": "1",
	} {
		if set[name] != want {
			t.Errorf("%s = %q, want %q", name, set[name], want)
		}
	}
	for _, name := range []string{"cookie", "x-isthmus-retry", "x-forwarded-for"} {
		if !removed[name] {
			t.Errorf("the client's %s stays", name)
		}
	}
	if removed["traceparent"] {
		t.Error("the trace is cut")
	}
	if id == "" || h.exchanges.find(id) == nil {
		t.Error("the exchange cannot be found by its id")
	}
}

func TestABodyThatIsRightAsItIsStaysWithEnvoy(t *testing.T) {
	h := newHouse(t, strings.ReplaceAll(twoSisters, "model_name: m", "model_name: up-a"))
	f := h.open(names.FilterRequest)
	answer, id := h.begin(f, `{"model":"up-a","messages":[{"role":"user","content":"hi"}]}`)
	common := answer.GetRequestBody().GetResponse()
	if set, _ := changes(common.GetHeaderMutation()); common.GetBodyMutation() != nil || set["content-length"] != "60" ||
		set["authorization"] != "Bearer sk-a" {
		t.Errorf("attempt 1: body %v, headers %v", common.GetBodyMutation(), set)
	}
	h.fail(id, 1, 500, `{"error":{"message":"broken"}}`)
	second := h.retry(id, 2).GetRequestHeaders().GetResponse()
	if got := string(second.GetBodyMutation().GetBody()); !strings.Contains(got, `"model":"up-b"`) {
		t.Errorf("attempt 2, on another provider: %s", got)
	}
}

func TestBetaFeaturesOfOpenAIGoToProvidersThatKnowThemWhicheverIsFirst(t *testing.T) {
	swapped := strings.NewReplacer("order: 1", "order: 2", "order: 2", "order: 1").Replace(twoSisters)
	for name, config := range map[string]string{"OpenAI first": twoSisters, "Anthropic first": swapped} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, config)
			f := h.open(names.FilterRequest)
			first, id := h.begin(f, question, "openai-beta", "assistants=v2")
			h.fail(id, 1, 500, `{"error":{"message":"broken"}}`)
			second := h.retry(id, 2, "openai-beta", "assistants=v2")
			for _, m := range []*extprocv3.HeaderMutation{
				first.GetRequestBody().GetResponse().GetHeaderMutation(), second.GetRequestHeaders().GetResponse().GetHeaderMutation(),
			} {
				set, removed := changes(m, begun("openai-beta", "assistants=v2")...)
				knows := set[":path"] == "/v1/chat/completions"
				if got := set["openai-beta"] == "assistants=v2"; got != knows || removed["openai-beta"] == knows {
					t.Errorf("%s gets openai-beta: %v", set[":path"], got)
				}
			}
		})
	}
}

// TestBetaFeaturesOfAnthropicGoToItAndToNobodyElseWhicheverIsFirst, with those that
// its deployment is configured with.
func TestBetaFeaturesOfAnthropicGoToItAndToNobodyElseWhicheverIsFirst(t *testing.T) {
	configured := strings.Replace(twoSisters, "{x-b: only-b}", "{anthropic-beta: 'own-1, both-2'}", 1)
	if configured == twoSisters {
		t.Fatal("no deployment of Anthropic is configured")
	}
	swapped := strings.NewReplacer("order: 1", "order: 2", "order: 2", "order: 1").Replace(configured)
	for name, config := range map[string]string{"OpenAI first": configured, "Anthropic first": swapped} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, config)
			f := h.open(names.FilterRequest)
			sent := []string{"anthropic-beta", "both-2,context-1m-2025-08-07", "anthropic-beta", "files-api-2025-04-14,no word"}
			first, id := h.begin(f, question, sent...)
			h.fail(id, 1, 500, `{"error":{"message":"broken"}}`)
			second := h.retry(id, 2, "anthropic-beta", "of the first attempt")
			for _, m := range []*extprocv3.HeaderMutation{
				first.GetRequestBody().GetResponse().GetHeaderMutation(), second.GetRequestHeaders().GetResponse().GetHeaderMutation(),
			} {
				set, removed := changes(m)
				want := ""
				if set[":path"] == "/v1/messages" {
					want = "own-1,both-2,context-1m-2025-08-07,files-api-2025-04-14"
				}
				if set["anthropic-beta"] != want || removed["anthropic-beta"] != (want == "") {
					t.Errorf("%s gets %q, want %q; removed: %v", set[":path"], set["anthropic-beta"], want, removed)
				}
			}
		})
	}
}

func TestAFailedAttemptIsTranslatedAfreshForTheNextProvider(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	judged := h.fail(id, 1, 500, `{"error":{"message":"broken"}}`)
	set, _ := changes(judged.GetResponseBody().GetResponse().GetHeaderMutation())
	if set["x-isthmus-retry"] == "" {
		t.Fatalf("the failure filter asks for no retry: %v", set)
	}
	if diff := cmp.Diff([]string{"deployment/a/a.test:80", "deployment/b/b.test:80", "isthmus-end"}, planOf(judged)); diff != "" {
		t.Errorf("the new plan keeps positions (-want +got):\n%s", diff)
	}
	again := h.retry(id, 2, ":path", "/v1/chat/completions", "authorization", "Bearer sk-a", "openai-organization", "org-a")
	common := again.GetRequestHeaders().GetResponse()
	if common.GetStatus() != extprocv3.CommonResponse_CONTINUE_AND_REPLACE {
		t.Errorf("status = %s", common.GetStatus())
	}
	set, removed := changes(common.GetHeaderMutation())
	if set[":path"] != "/v1/messages" || set["x-api-key"] != "sk-b" || set["x-b"] != "only-b" || set[":authority"] != "b.test" {
		t.Errorf("headers of attempt 2 = %v", set)
	}
	for _, name := range []string{"authorization", "openai-organization"} {
		if !removed[name] || set[name] != "" {
			t.Errorf("%s of the provider before stays", name)
		}
	}
	body := string(common.GetBodyMutation().GetBody())
	if !strings.Contains(body, `"model":"up-b"`) || !strings.Contains(body, `"max_tokens"`) {
		t.Errorf("body of attempt 2 = %s", body)
	}
	length := again.GetDynamicMetadata().GetFields()[names.NamespaceAttempt].GetStructValue().GetFields()["length"].GetStringValue()
	if length == "" || length == "0" {
		t.Errorf("the length for header_mutation = %q", length)
	}
}

func TestTheLastFailureGoesBackAsTheProvidersOwnError(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	h.fail(id, 1, 500, `{"error":{"message":"broken"}}`)
	h.retry(id, 2)
	judged := h.fail(id, 2, 529, `{"type":"error","error":{"type":"overloaded_error","message":"too busy"}}`)
	if set, _ := changes(judged.GetResponseBody().GetResponse().GetHeaderMutation()); set["x-isthmus-retry"] != "" {
		t.Fatal("a retry is asked for although the plan is at its end")
	}
	answer := f.ask(responseHead(2, false, ":status", "529", "content-type", "application/json", "x-secret", "internal"))
	common := answer.GetResponseHeaders().GetResponse()
	set, removed := changes(common.GetHeaderMutation())
	body := string(common.GetBodyMutation().GetBody())
	if !strings.Contains(body, "too busy") || !strings.Contains(body, `"type":"overloaded_error"`) {
		t.Errorf("body = %s", body)
	}
	if set["x-isthmus-attempts"] != "2" || !removed["x-secret"] {
		t.Errorf("headers: set %v, removed %v", set, removed)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	for _, d := range h.router.Deployments() {
		if d.InFlight() != 0 {
			t.Errorf("%s has %d attempts in flight", d.ID, d.InFlight())
		}
	}
}

func TestAnErrorWithoutABodyIsJudgedAtItsHeaders(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	judged := h.fail(id, 1, 503, "")
	if set, _ := changes(judged.GetResponseHeaders().GetResponse().GetHeaderMutation()); set["x-isthmus-retry"] == "" {
		t.Error("no retry after a 503 without a body")
	}
}

func TestAttemptsThatNobodySawAreCountedByTheirNumber(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	// Attempt 1 was refused: only the retry filter hears of it, and twice.
	h.retry(id, 2)
	h.retry(id, 2)
	answer := f.ask(responseHead(2, false, ":status", "200", "content-type", "application/json"))
	set, _ := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation())
	if set["x-isthmus-attempts"] != "2" || set["x-isthmus-deployment"] != "b" {
		t.Errorf("headers = %v", set)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if log := h.log.String(); !strings.Contains(log, "attempts=2") {
		t.Errorf("log = %s", log)
	}
}

func TestAnUnknownExchangeIsNotRetriedAndNothingOfItGoesOut(t *testing.T) {
	h := newHouse(t, twoSisters)
	if a := h.retry("gone", 2, "authorization", "Bearer of-another-provider"); a.GetImmediateResponse().GetStatus().GetCode() != 503 {
		t.Errorf("retry filter: %T", a.GetResponse())
	}
	if a := h.fail("gone", 1, 500, "{}"); a.GetResponseBody() == nil || a.GetResponseBody().GetResponse().GetHeaderMutation() != nil {
		t.Errorf("failure filter: %T", a.GetResponse())
	}
}

func TestAPassThroughAnswerGoesBackUntouchedAndItsTokensAsMetadata(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	h.begin(f, question)
	head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json", "content-length", "70000"))
	if mode := head.GetModeOverride().GetResponseBodyMode(); mode != modev3.ProcessingMode_STREAMED {
		t.Errorf("body mode = %s", mode)
	}
	if head.GetModeOverride().GetResponseTrailerMode() != modev3.ProcessingMode_SEND {
		t.Error("trailers are not asked for: Envoy 1.37 would close the stream early")
	}
	first := f.ask(responsePiece(`{"id":"x","usage":{"prompt_tokens":3,`, false))
	last := f.ask(responsePiece(`"completion_tokens":2,"total_tokens":5}}`, true))
	for _, a := range []*extprocv3.ProcessingResponse{first, last} {
		if a.GetResponseBody().GetResponse().GetBodyMutation() != nil {
			t.Error("the body was touched")
		}
	}
	fields := last.GetDynamicMetadata().GetFields()[names.NamespaceExchange].GetStructValue().GetFields()
	if fields["prompt_tokens"].GetNumberValue() != 3 || fields["completion_tokens"].GetNumberValue() != 2 ||
		fields["deployment"].GetStringValue() != "a" {
		t.Errorf("metadata = %v", fields)
	}
}

// TestWhatIsSwallowedIsAnEmptyBodyNotAnUntouchedOne: on an Envoy that waits for an
// answer to each piece.
func TestWhatIsSwallowedIsAnEmptyBodyNotAnUntouchedOne(t *testing.T) {
	h := newHouse(t, `model_list: [{model_name: m, litellm_params: {model: anthropic/x, api_key: k}}]`)
	s := h.openWith(names.FilterRequest, names.PlanAggregate)
	h.begin(s, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	s.ask(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
	answer := s.ask(responsePiece("event: ping\ndata: {\"type\":\"ping\"}\n\n", false))
	if answer.GetResponseBody().GetResponse().GetBodyMutation() == nil {
		t.Error("Envoy would forward the provider's own bytes")
	}
}

// TestWhatIsSwallowedOfAStreamNeedsNoAnswer: in the mode Duplex Envoy sends on what it
// gets back, and nothing else.
func TestWhatIsSwallowedOfAStreamNeedsNoAnswer(t *testing.T) {
	h := newHouse(t, `model_list: [{model_name: m, litellm_params: {model: anthropic/x, api_key: k}}]`)
	s := h.open(names.FilterRequest)
	h.begin(s, `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	head := s.ask(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
	if mode := head.GetModeOverride().GetResponseBodyMode(); mode != modev3.ProcessingMode_FULL_DUPLEX_STREAMED {
		t.Errorf("body mode = %s", mode)
	}
	s.in <- responsePiece("event: ping\ndata: {\"type\":\"ping\"}\n\n", false)
	answer := s.ask(responsePiece("event: ping\ndata: {\"type\":\"ping\"}\n\n", true))
	last := answer.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
	if !last.GetEndOfStream() || !strings.Contains(string(last.GetBody()), "incomplete_answer") {
		t.Errorf("the end = %v", last)
	}
}

func TestAStreamOfAnUnknownFilterIsRefusedWithTheRemedy(t *testing.T) {
	h := newHouse(t, twoSisters)
	err := <-h.open("other").err
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "isthmus envoy") {
		t.Errorf("error = %v", err)
	}
}

func TestAPanicCostsItsRequestAndNothingElse(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	x := h.exchanges.find(id)
	x.attempts.mu.Lock()
	x.attempts.plan.Hops[0].Translator = nil // what a bug would be
	x.attempts.mu.Unlock()
	f.in <- responseHead(1, false, ":status", "200", "content-type", "application/json")
	if err := <-f.err; status.Code(err) != codes.Internal {
		t.Errorf("the stream ended with %v", err)
	}
	if h.exchanges.find(id) != nil || h.router.Deployments()[0].InFlight() != 0 || h.runtime.Open() != 0 {
		t.Error("the request still holds something")
	}
	if log := h.log.String(); !strings.Contains(log, "panic while serving a request") ||
		strings.Contains(log, "hi") && strings.Contains(log, "messages") {
		t.Errorf("log = %s", log)
	}
	if n := h.count(t, "isthmus_extproc_panics_total", "filter", names.FilterRequest); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
	other := h.open(names.FilterRequest)
	if answer, _ := h.begin(other, question); answer.GetRequestBody() == nil {
		t.Error("the next request is not served")
	}
}

func TestAResetGivesEverythingBackOnce(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	x := h.exchanges.find(id)
	f.end() // the client left
	<-f.err
	x.finish(x.started)
	if n := h.router.Deployments()[0].InFlight(); n != 0 {
		t.Errorf("%d attempts in flight", n)
	}
	if n := strings.Count(h.log.String(), "msg=request"); n != 1 {
		t.Errorf("%d lines for one request:\n%s", n, h.log)
	}
	// What comes late finds nobody and changes nothing.
	h.fail(id, 1, 500, "{}")
	h.retry(id, 2)
	if n := h.runtime.Open(); n != 0 {
		t.Errorf("%d exchanges open", n)
	}
}
