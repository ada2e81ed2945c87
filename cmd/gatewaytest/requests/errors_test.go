package requests

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

func TestErrorsHaveOpenAIsShape(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
		"general_settings: {master_key: sk-master, max_request_size_mb: 1}\n")
	const key = "Bearer sk-master"
	for name, tc := range map[string]struct {
		method, path, body, key string
		status                  int
		kind, code, param, text string
	}{
		"no key": {"POST", "/v1/chat/completions", gatewaytest.Ask, "", 401, "invalid_request_error", "invalid_api_key",
			"", "You didn't provide"},
		"a wrong key": {"POST", "/v1/chat/completions", gatewaytest.Ask, "Bearer sk-wrong", 401, "invalid_request_error",
			"invalid_api_key", "", "Incorrect"},
		"a key of another length":      {"GET", "/v1/models", "", "Bearer x", 401, "invalid_request_error", "invalid_api_key", "", "Incorrect"},
		"an unknown path":              {"POST", "/v1/chat", "{}", key, 404, "invalid_request_error", "unknown_url", "", "/v1/chat"},
		"an unknown path with a query": {"GET", "/foo?key=canary", "", key, 404, "invalid_request_error", "unknown_url", "", "GET /foo."},
		"a path that only begins right": {"POST", "/v1chat/completions", gatewaytest.Ask, key, 404, "invalid_request_error", "unknown_url", "",
			"/v1chat/completions"},
		"a name without an end": {"POST", "/v1/chat/completions", `{"model":"` + strings.Repeat("m", 2000) + `","messages":[]}`, key, 400,
			"invalid_request_error", "", "model", "1024 bytes"},
		"a wrong method": {"GET", "/v1/chat/completions", "", key, 405, "invalid_request_error", "method_not_allowed", "",
			"use POST"},
		"another wrong method": {"POST", "/v1/models", "{}", key, 405, "invalid_request_error", "method_not_allowed", "", "use GET"},
		"an unknown model": {"POST", "/v1/chat/completions", `{"model":"nope","messages":[]}`, key, 404, "invalid_request_error",
			"model_not_found", "model", "`nope`"},
		"an unknown model's page": {"GET", "/v1/models/nope", "", key, 404, "invalid_request_error", "model_not_found", "model", "`nope`"},
		"an empty body":           {"POST", "/v1/chat/completions", "", key, 400, "invalid_request_error", "", "", "no body"},
		"a blank body":            {"POST", "/v1/chat/completions", " \n ", key, 400, "invalid_request_error", "", "", "no body"},
		"no JSON": {"POST", "/v1/chat/completions", "model=m", key, 400, "invalid_request_error", "", "",
			"line 1 column 1"},
		"a duplicate key": {"POST", "/v1/chat/completions", "{\"model\":\"m\",\n \"model\":\"n\",\"messages\":[]}", key, 400,
			"invalid_request_error", "", "", "line 2 column 2"},
		"text after the body": {"POST", "/v1/chat/completions", gatewaytest.Ask + "x", key, 400, "invalid_request_error", "", "",
			"after the JSON object"},
		"invalid UTF-8": {"POST", "/v1/chat/completions", "{\"model\":\"\xff\"}", key, 400, "invalid_request_error", "", "",
			"invalid UTF-8"},
		"no model": {"POST", "/v1/chat/completions", `{"messages":[]}`, key, 400, "invalid_request_error", "", "model",
			"model"},
		"a model that is no text": {"POST", "/v1/chat/completions", `{"model":4,"messages":[]}`, key, 400, "invalid_request_error", "",
			"model", "string"},
		"no messages": {"POST", "/v1/chat/completions", `{"model":"m"}`, key, 400, "invalid_request_error", "", "messages",
			"messages"},
		"no input": {"POST", "/v1/embeddings", `{"model":"m"}`, key, 400, "invalid_request_error", "", "input", "input"},
		"a body over the limit": {"POST", "/v1/chat/completions", `{"model":"m","messages":["` + strings.Repeat("x", 2<<20) + `"]}`, key,
			413, "invalid_request_error", "request_too_large", "", "max_request"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.Do(tc.method, tc.path, tc.body, "Authorization", tc.key)
			if got.Status != tc.status {
				t.Errorf("status = %d, want %d: %s", got.Status, tc.status, got.Body)
			}
			kind, code, param, message := gatewaytest.ErrorOf(t, got)
			if kind != tc.kind || code != tc.code || param != tc.param || !strings.Contains(message, tc.text) {
				t.Errorf("error = %s %q %q %q, want %s %q %q …%s…", kind, code, param, message, tc.kind, tc.code, tc.param, tc.text)
			}
			if got.Header.Get("X-Isthmus-Request-Id") == "" && tc.status != 413 {
				t.Error("the error has no request id")
			}
		})
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Authorization", key, "X-Litellm-Timeout", "NaN"); got.Status != 400 {
		t.Errorf("a time that is no number: %d %s", got.Status, got.Body)
	}
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Authorization", key, "Content-Encoding", "gzip"); got.Status != 415 {
		t.Errorf("a compressed body: %d %s", got.Status, got.Body)
	}
	if n := len(p.Calls()); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	for _, header := range []string{"Authorization", "Api-Key", "X-Api-Key", "X-Litellm-Api-Key"} {
		value := "sk-master"
		if header == "Authorization" {
			value = key
		}
		if got := s.Post("/v1/chat/completions", gatewaytest.Ask, header, value); got.Status != 200 {
			t.Errorf("the right key in %s: %d %s", header, got.Status, got.Body)
		}
	}
}

func TestProbesAndModelListsNeedNoProvider(t *testing.T) {
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), "")+
		gatewaytest.Entry("org/big*", gatewaytest.RefusedAddress(t), "")+
		"router_settings: {model_group_alias: {short: m, both: [m, m], secret: {model: m, hidden: true}}}\n")
	for _, path := range []string{"/health/liveliness", "/health/liveness", "/health/readiness"} {
		if got := s.Get(path); got.Status != 200 {
			t.Errorf("%s = %d %s", path, got.Status, got.Body)
		}
	}
	for _, path := range []string{"/v1/models", "/models", "/openai/v1/models"} {
		got := s.Get(path)
		var list struct {
			Object string
			Data   []struct{ ID, Object string }
		}
		if err := json.Unmarshal([]byte(got.Body), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, m.ID)
		}
		if fmt.Sprint(ids) != "[m org/big* short both]" || list.Object != "list" {
			t.Errorf("%s = %s", path, got.Body)
		}
	}
	if got := s.Get("/v1/models/org%2Fbig-1"); got.Status != 200 || !strings.Contains(got.Body, `"id":"org/big-1"`) {
		t.Errorf("a model under a wildcard: %d %s", got.Status, got.Body)
	}
	if got := s.Do(http.MethodHead, "/v1/models", ""); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: %d %q", got.Status, got.Body)
	}
}

func TestEndpointsReachTheProvidersOwnPaths(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+
		fmt.Sprintf("- model_name: az\n"+
			"  litellm_params: {model: azure/ignored, deployment_id: my dep, api_version: 2024-10-21, api_key: az-key, api_base: %q}\n", p.URL))
	for asked, want := range map[string]string{
		"/v1/chat/completions":                             "/v1/chat/completions",
		"/chat/completions":                                "/v1/chat/completions",
		"/v1/chat/completions?api-version=x":               "/v1/chat/completions",
		"/openai/deployments/m/chat/completions?x=1":       "/v1/chat/completions",
		"/v1/completions":                                  "/v1/completions",
		"/v1/embeddings":                                   "/v1/embeddings",
		"/embeddings":                                      "/v1/embeddings",
		"/v1/responses":                                    "/v1/responses",
		"/v1/moderations":                                  "/v1/moderations",
		"/v1/images/generations":                           "/v1/images/generations",
		"/v1/audio/speech":                                 "/v1/audio/speech",
		"/v1/rerank":                                       "/v1/rerank",
		"/openai/deployments/az/chat/completions":          "/openai/deployments/my%20dep/chat/completions?api-version=2024-10-21",
		"/openai/deployments/az/embeddings?api-version=v1": "/openai/deployments/my%20dep/embeddings?api-version=2024-10-21",
	} {
		before := len(p.Calls())
		got := s.Post(asked, `{"model":"m","messages":[],"input":"x","prompt":"x"}`)
		calls := p.Calls()
		if got.Status != 200 || len(calls) != before+1 || calls[before].Path != want {
			t.Errorf("%s: %d %s; the provider got %v, want %s", asked, got.Status, got.Body, calls[before:], want)
		}
	}
	for _, c := range p.Calls() {
		azure := strings.HasPrefix(c.Path, "/openai/")
		if azure != (c.Header.Get("Api-Key") == "az-key") || azure == (c.Header.Get("Authorization") == "Bearer sk-provider") {
			t.Errorf("credentials at %s: %v", c.Path, c.Header)
		}
	}
}

func TestAMockAnswersWithoutAProvider(t *testing.T) {
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.RefusedAddress(t), `, mock_response: "canned words"`))
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != 200 || !strings.Contains(got.Body, `"content":"canned words"`) {
		t.Errorf("blocking: %d %s", got.Status, got.Body)
	}
	got := s.Post("/v1/chat/completions", gatewaytest.AskStream)
	if got.Status != 200 || !strings.Contains(got.Body, "canned words") || !strings.HasSuffix(got.Body, "data: [DONE]\n\n") {
		t.Errorf("stream: %d %s", got.Status, got.Body)
	}
}

// TestAMockAnswersForOneThatFailed, and nobody is called for it: a mock has no address of
// its own but the provider's.
func TestAMockAnswersForOneThatFailed(t *testing.T) {
	failing := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(http.StatusInternalServerError)
	})
	called := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	for _, release := range envoytest.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", failing.Base(), "")+
				gatewaytest.Entry("refused", gatewaytest.RefusedAddress(t), "")+
				gatewaytest.Entry("canned", called.Base(), `, mock_response: "canned words"`)+
				gatewaytest.Entry("lost", failing.Base(), "")+gatewaytest.Entry("nowhere", "http://none.invalid/v1", `, mock_response: "canned words"`)+
				"router_settings: {num_retries: 0, fallbacks: [{m: [canned]}, {refused: [canned]}, {lost: [nowhere]}]}\n",
				"--envoy", envoytest.Envoy(t, release).Path, "--concurrency", "1")
			for _, model := range []string{"m", "refused", "lost"} {
				if model == "lost" && strings.HasPrefix(release, "1.36") {
					continue // it passes over a host that it does not know
				}
				for _, body := range []string{gatewaytest.Ask, gatewaytest.AskStream} {
					got := s.Post("/v1/chat/completions", gatewaytest.ForModel(model, body))
					if got.Status != 200 || !strings.Contains(got.Body, "canned words") || got.Header.Get("X-Isthmus-Attempts") != "2" ||
						got.Header.Get("X-Isthmus-Fallbacks") != "1" {
						t.Errorf("%s: %d %s after %s attempts", model, got.Status, got.Body, got.Header.Get("X-Isthmus-Attempts"))
					}
				}
			}
			s.Idle()
		})
	}
	t.Cleanup(func() {
		if n := len(called.Calls()); n > 0 {
			t.Errorf("the mock's provider was called %d times", n)
		}
	})
}

func TestAnHTMLPageIsNoAnswer(t *testing.T) {
	portal := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>Please log in</html>")
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", portal.Base(), ""))
	got := s.Post("/v1/chat/completions", gatewaytest.Ask)
	if _, code, _, _ := gatewaytest.ErrorOf(t, got); got.Status != 502 || code != "invalid_answer" {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
}
