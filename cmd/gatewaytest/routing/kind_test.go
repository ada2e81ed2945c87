package routing

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestOneClientsOwnFaultTakesNoDeploymentOut: the provider answers one prompt with a
// status that otherwise speaks against the deployment. The client gets what the error
// is, and the next request is served by the same deployments.
func TestOneClientsOwnFaultTakesNoDeploymentOut(t *testing.T) {
	for name, tc := range map[string]struct {
		status   int
		body     string
		attempts string
		want     int
		code     string
	}{
		"a flagged prompt": {403, `{"error":{"message":"no","code":403,"metadata":{"reasons":["a"],"flagged_input":"x"}}}`, "1", 400,
			`"code":"content_filter"`},
		"an image without projector": {500, `{"error":{"code":500,"message":"image input is not supported - hint: x","type":"server_error"}}`,
			"2", 400, `"type":"invalid_request_error"`},
		"more than a minute's quota": {429, `{"error":{"message":"Request too large for m on tokens per min (TPM)","type":"tokens",` +
			`"code":"rate_limit_exceeded"}}`, "2", 429, `"code":"rate_limit_exceeded"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuse := func(w http.ResponseWriter, _ *http.Request, body string) {
				w.Header().Set("Content-Type", "application/json")
				if !strings.Contains(body, "mistake") {
					fmt.Fprint(w, `{"id":"1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":`+
						`{"role":"assistant","content":"hi"}}]}`)
					return
				}
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			}
			one, two := gatewaytest.NewProvider(t, refuse), gatewaytest.NewProvider(t, refuse)
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", one.Base(), "")+gatewaytest.Entry("m", two.Base(), "")+
				"router_settings: {num_retries: 1, allowed_fails: 1, cooldown_time: 300}\n")
			got := s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, "hi", "mistake", 1))
			if got.Status != tc.want || !strings.Contains(got.Body, tc.code) || got.Header.Get("X-Isthmus-Attempts") != tc.attempts {
				t.Errorf("%d after %s attempts: %s", got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
			if health := s.AdminGet("/health"); strings.Contains(health, `"cooldown_until"`) {
				t.Errorf("a deployment cools: %s", health)
			}
			if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 {
				t.Errorf("the next request: %d %s", got.Status, got.Body)
			}
		})
	}
}

// TestAFailureIsJudgedAlikeInEveryFormatAndInBothModes: two deployments of one group
// answer with the same failure, in their provider's words. What its status says alone
// would be another thing in each case.
func TestAFailureIsJudgedAlikeInEveryFormatAndInBothModes(t *testing.T) {
	t.Parallel()
	const credit = `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access it."}}`
	cases := map[string]struct {
		model    string
		status   int
		body     string
		want     int
		code     string // a part of the error that the client gets
		attempts string
		cool     int // how many deployments cool afterwards
	}{
		"anthropic-account": {"anthropic/x", 400, credit, 402, `"type":"invalid_request_error"`, "2", 2},
		"gemini-account": {"gemini/x", 400, `{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":` +
			`"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}`, 401, `"type":"authentication_error"`, "2", 2},
		"gemini-place": {"gemini/x", 400, `{"error":{"code":400,"message":"User location is not supported for the API use.","status":` +
			`"FAILED_PRECONDITION"}}`, 403, `"type":"permission_error"`, "2", 2},
		"openai-account": {"openai/x", 400, `{"error":{"message":"Billing hard limit has been reached","code":"billing_hard_limit_reached"}}`,
			402, `"code":"billing_hard_limit_reached"`, "2", 2},
		"xai-account": {"xai/x", 400, `{"code":"x","error":"Incorrect API key provided: sk***YA."}`, 401, `"type":"authentication_error"`,
			"2", 2},
		"openrouter-content": {"openrouter/x", 403, `{"error":{"message":"no","code":403,"metadata":{"flagged_input":"x"}}}`, 400,
			contentFilter, "1", 0},
		"xai-content": {"xai/x", 403, `{"code":"x","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}`, 400,
			contentFilter, "1", 0},
		"anthropic-content": {"anthropic/x", 400, `{"type":"error","error":{"type":"invalid_request_error","message":` +
			`"Output blocked by content filtering policy"}}`, 400, contentFilter, "1", 0},
		"llamacpp-own": {"openai/x", 500, `{"error":{"code":500,"message":"image input is not supported - hint: x","type":"server_error"}}`,
			400, request, "2", 0},
		"ollama-own":    {"ollama_chat/x", 500, `{"error":"invalid JSON schema in format"}`, 400, request, "2", 0},
		"ollama-wrong":  {"ollama_chat/x", 500, `{"error":"option \"num_ctx\" must be of type integer"}`, 400, request, "1", 0},
		"openai-501":    {"openai/x", 501, `{"error":{"message":"no","type":"not_supported_error"}}`, 501, `"message":"no"`, "2", 0},
		"ollama-501":    {"ollama_chat/x", 501, `{"error":"no"}`, 501, `"message":"no"`, "2", 0},
		"anthropic-501": {"anthropic/x", 501, ``, 501, `"error"`, "2", 0},
		"gemini-501":    {"gemini/x", 501, `{"error":{"code":501,"message":"no","status":"UNIMPLEMENTED"}}`, 501, `"message":"no"`, "2", 0},
	}
	config := "model_list:\n"
	for name, tc := range cases {
		p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tc.status)
			fmt.Fprint(w, tc.body)
		})
		for _, mode := range []string{"blocking", "stream"} {
			for _, key := range []string{"one", "two"} {
				config += fmt.Sprintf("- {model_name: %s-%s, litellm_params: {model: %q, api_base: %q, api_key: %s}}\n",
					name, mode, tc.model, p.URL, key)
			}
		}
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 1, allowed_fails: 100, cooldown_time: 300}\n", "--concurrency", "1")
	cooling := 0
	for name, tc := range cases {
		for mode, body := range map[string]string{"blocking": gatewaytest.Ask, "stream": gatewaytest.AskStream} {
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(name+"-"+mode, body))
			if got.Status != tc.want || !strings.Contains(got.Body, tc.code) || got.Header.Get("X-Isthmus-Attempts") != tc.attempts {
				t.Errorf("%s, %s: %d after %s attempts: %s", name, mode, got.Status, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
			before := cooling
			cooling = strings.Count(s.AdminGet("/health"), `"cooldown_until"`)
			if cooling-before != tc.cool {
				t.Errorf("%s, %s: %d more deployments cool, want %d", name, mode, cooling-before, tc.cool)
			}
		}
	}
	s.Idle()
}

// What a client gets in its error's members.
const (
	contentFilter = `"code":"content_filter"`
	request       = `"type":"invalid_request_error"`
)

// TestWhatIsTooLongGoesToTheContextWindowFallbacks at every endpoint, whatever status the
// provider gives it: llama.cpp says 500 of an embedding above its batch.
func TestWhatIsTooLongGoesToTheContextWindowFallbacks(t *testing.T) {
	t.Parallel()
	small := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"error":{"code":500,"message":"input is too large to process. increase the physical batch size","type":"server_error"}}`)
	})
	good := map[string]string{
		"/v1/completions": `{"id":"c","object":"text_completion","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}`,
		"/v1/embeddings":  `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}]}`,
		"/v1/responses":   `{"id":"resp_1","object":"response","status":"completed","output":[]}`,
	}
	stream := map[string]string{
		"/v1/completions": `data: {"id":"c","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n",
		"/v1/responses":   `data: {"type":"response.completed","response":{"id":"resp_1","status":"completed"}}` + "\n\n",
	}
	big := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		kind, text := "application/json", good[r.URL.Path]
		if strings.Contains(body, `"stream":true`) {
			kind, text = "text/event-stream", stream[r.URL.Path]
		}
		if text == "" {
			gatewaytest.OpenAI(w, r, body)
			return
		}
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, text)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", small.Base(), "")+gatewaytest.Entry("big", big.Base(), "")+
		"router_settings: {num_retries: 2, allowed_fails: 1, context_window_fallbacks: [{m: [big]}]}\n", "--concurrency", "1")
	for path, body := range map[string]string{
		"/v1/chat/completions": gatewaytest.Ask, "/v1/completions": `{"model":"m","prompt":"hi"}`,
		"/v1/embeddings": `{"model":"m","input":"hi"}`, "/v1/responses": `{"model":"m","input":"hi"}`,
	} {
		for _, body := range []string{body, gatewaytest.With(`"stream":true`, body)} {
			if path == "/v1/embeddings" && strings.Contains(body, "stream") {
				continue
			}
			got := s.Post(path, body)
			if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" || got.Header.Get("X-Isthmus-Fallbacks") != "1" {
				t.Errorf("%s %s: %d, %v after %s attempts: %s", path, body, got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
		}
	}
	if health := s.AdminGet("/health"); strings.Contains(health, `"cooldown_until"`) {
		t.Errorf("a deployment cools: %s", health)
	}
	s.Idle()
}

// TestAnErrorBehind200LeadsWhereItsStatusWould, also where num_retries plans nothing behind
// the first attempt.
func TestAnErrorBehind200LeadsWhereItsStatusWould(t *testing.T) {
	t.Parallel()
	good := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config := "model_list:\n" + gatewaytest.Entry("good", good.Base(), "")
	errors := map[string]string{
		"long":    `{"error":{"message":"maximum context length is 10 tokens","code":"context_length_exceeded"}}`,
		"flagged": `{"error":{"message":"no","code":"content_filter"}}`,
		"busy":    `{"error":{"message":"overloaded","code":503}}`,
	}
	for name, text := range errors {
		var asked atomic.Int64
		p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
			n := asked.Add(1)
			switch {
			case name == "busy" && n%2 == 0:
				gatewaytest.OpenAI(w, r, body)
			case strings.Contains(body, `"stream":true`):
				w.Header().Set("Content-Type", "text/event-stream")
				fmt.Fprintf(w, "data: %s\n\n", text)
			default:
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, text)
			}
		})
		config += gatewaytest.Entry(name, p.Base(), "")
	}
	s := gatewaytest.Start(t, config+"router_settings:\n  num_retries: 0\n  context_window_fallbacks: [{long: [good]}]\n"+
		"  content_policy_fallbacks: [{flagged: [good]}]\n  model_group_retry_policy: {busy: {ServiceUnavailableErrorRetries: 1}}\n",
		"--concurrency", "1")
	for name := range errors {
		if name != "busy" { // the first tells that others may follow
			s.Post("/v1/chat/completions", gatewaytest.ForModel(name, gatewaytest.Ask))
		}
		for _, body := range []string{gatewaytest.AskStream, gatewaytest.Ask} {
			if name == "busy" && body == gatewaytest.Ask {
				continue
			}
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(name, body))
			if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" {
				t.Errorf("%s: %d, %v after %s attempts: %s", body, got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
		}
	}
	s.Idle()
}

// TestARefusedPromptGoesToTheContentPolicyFallbacks, whatever status the provider gives it,
// and its deployments serve on.
func TestARefusedPromptGoesToTheContentPolicyFallbacks(t *testing.T) {
	t.Parallel()
	safe := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	config, fallbacks := "model_list:\n"+gatewaytest.Entry("safe", safe.Base(), ""), []string{}
	cases := map[string]struct {
		model  string
		status int
		body   string
	}{
		"openrouter": {"openrouter/x", 403, `{"error":{"message":"Your chosen model requires moderation and your input was flagged","code":403,` +
			`"metadata":{"reasons":["violence"],"flagged_input":"x"}}}`},
		"xai":    {"xai/x", 403, `{"code":"x","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}`},
		"openai": {"openai/x", 400, `{"error":{"message":"no","code":"content_filter"}}`},
		"anthropic": {"anthropic/x", 400, `{"type":"error","error":{"type":"invalid_request_error","message":` +
			`"Output blocked by content filtering policy"}}`},
		"stepfun": {"openai/x", 451, `{"error":{"message":"censored"}}`},
	}
	for name, tc := range cases {
		p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tc.status)
			fmt.Fprint(w, tc.body)
		})
		config += fmt.Sprintf("- {model_name: %s, litellm_params: {model: %q, api_base: %q, api_key: k}}\n", name, tc.model, p.URL)
		fallbacks = append(fallbacks, "{"+name+": [safe]}")
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 2, allowed_fails: 1, content_policy_fallbacks: ["+
		strings.Join(fallbacks, ", ")+"]}\n", "--concurrency", "1")
	for name := range cases {
		for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
			got := s.Post("/v1/chat/completions", gatewaytest.ForModel(name, body))
			if got.Status != 200 || got.Err != nil || got.Header.Get("X-Isthmus-Attempts") != "2" {
				t.Errorf("%s %s: %d, %v after %s attempts: %s", name, body, got.Status, got.Err, got.Header.Get("X-Isthmus-Attempts"), got.Body)
			}
		}
	}
	if health := s.AdminGet("/health"); strings.Contains(health, `"cooldown_until"`) {
		t.Errorf("a deployment cools: %s", health)
	}
	s.Idle()
}

// TestAResponseThatFailsBehindItsStatusCountsAgainstItsDeployment: every end of a stream of
// the Responses API but a good one, and a document that says so.
func TestAResponseThatFailsBehindItsStatusCountsAgainstItsDeployment(t *testing.T) {
	t.Parallel()
	const created = `data: {"type":"response.created","response":{"id":"r1","object":"response","status":"in_progress"}}` + "\n\n"
	config := "model_list:\n"
	cases := map[string]struct {
		answer string
		stream bool
		status int
		code   string // of the log's line
	}{
		"failed": {created + `data: {"type":"response.failed","response":{"id":"r1","status":"failed","error":{"code":"server_error",` +
			`"message":"boom"}}}` + "\n\n", true, 200, "server_error"},
		"error":   {created + `data: {"type":"error","code":"server_error","message":"boom"}` + "\n\n", true, 200, "server_error"},
		"endless": {created + `data: {"type":"response.output_text.delta","delta":"a"}` + "\n\n", true, 200, "incomplete_answer"},
		"empty":   {"", true, 502, "invalid_answer"},
		"document": {`{"id":"r1","object":"response","status":"failed","error":{"code":"server_error","message":"boom"}}`, false, 200,
			"server_error"},
	}
	for name, tc := range cases {
		p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", map[bool]string{true: "text/event-stream", false: "application/json"}[tc.stream])
			fmt.Fprint(w, tc.answer)
		})
		config += gatewaytest.Entry(name, p.Base(), "") + gatewaytest.Entry(name, p.Base(), "")
	}
	s := gatewaytest.Start(t, config+"router_settings: {num_retries: 0, allowed_fails: 1, cooldown_time: 300}\n", "--concurrency", "1")
	requests := 0
	for name, tc := range cases {
		body := fmt.Sprintf(`{"model":%q,"input":"hi","stream":%t}`, name, tc.stream)
		for range 2 { // one for each deployment: the first cools at once
			got := s.Post("/v1/responses", body)
			requests++
			line := s.RequestLog(requests)[requests-1]
			if got.Status != tc.status || line["code"] != tc.code {
				t.Errorf("%s: %d, want %d; the log says %v", name, got.Status, tc.status, line)
			}
		}
		got := s.Post("/v1/responses", body)
		requests++
		if _, code, _, _ := gatewaytest.ErrorOf(t, got); got.Status != 503 {
			t.Errorf("%s, when both have failed: %d %s %s, want 503", name, got.Status, code, got.Body)
		}
	}
	s.Idle()
}
