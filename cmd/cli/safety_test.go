package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// errorOf reads OpenAI's error object.
func errorOf(t *testing.T, a *answer) (kind, code, param, message string) {
	t.Helper()
	var body struct {
		Error *struct{ Type, Code, Param, Message string }
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.Error == nil {
		t.Fatalf("status %d: not OpenAI's error shape (%v): %s", a.status, err, a.body)
	}
	if k := a.header.Get("Content-Type"); k != "application/json" {
		t.Errorf("content-type = %q", k)
	}
	return body.Error.Type, body.Error.Code, body.Error.Param, body.Error.Message
}

func TestErrorsHaveOpenAIsShape(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+"general_settings: {master_key: sk-master, max_request_size_mb: 1}\n")
	const key = "Bearer sk-master"
	for name, tc := range map[string]struct {
		method, path, body, key string
		status                  int
		kind, code, param, text string
	}{
		"no key":                        {"POST", "/v1/chat/completions", ask, "", 401, "invalid_request_error", "invalid_api_key", "", "You didn't provide"},
		"a wrong key":                   {"POST", "/v1/chat/completions", ask, "Bearer sk-wrong", 401, "invalid_request_error", "invalid_api_key", "", "Incorrect"},
		"a key of another length":       {"GET", "/v1/models", "", "Bearer x", 401, "invalid_request_error", "invalid_api_key", "", "Incorrect"},
		"an unknown path":               {"POST", "/v1/chat", "{}", key, 404, "invalid_request_error", "unknown_url", "", "/v1/chat"},
		"an unknown path with a query":  {"GET", "/foo?key=canary", "", key, 404, "invalid_request_error", "unknown_url", "", "GET /foo."},
		"a path that only begins right": {"POST", "/v1chat/completions", ask, key, 404, "invalid_request_error", "unknown_url", "", "/v1chat/completions"},
		"a name without an end":         {"POST", "/v1/chat/completions", `{"model":"` + strings.Repeat("m", 2000) + `","messages":[]}`, key, 400, "invalid_request_error", "", "model", "1024 bytes"},
		"a wrong method":                {"GET", "/v1/chat/completions", "", key, 405, "invalid_request_error", "method_not_allowed", "", "use POST"},
		"another wrong method":          {"POST", "/v1/models", "{}", key, 405, "invalid_request_error", "method_not_allowed", "", "use GET"},
		"an unknown model":              {"POST", "/v1/chat/completions", `{"model":"nope","messages":[]}`, key, 404, "invalid_request_error", "model_not_found", "model", "`nope`"},
		"an unknown model's page":       {"GET", "/v1/models/nope", "", key, 404, "invalid_request_error", "model_not_found", "model", "`nope`"},
		"an empty body":                 {"POST", "/v1/chat/completions", "", key, 400, "invalid_request_error", "", "", "no body"},
		"a blank body":                  {"POST", "/v1/chat/completions", " \n ", key, 400, "invalid_request_error", "", "", "no body"},
		"no JSON":                       {"POST", "/v1/chat/completions", "model=m", key, 400, "invalid_request_error", "", "", "line 1 column 1"},
		"a duplicate key":               {"POST", "/v1/chat/completions", "{\"model\":\"m\",\n \"model\":\"n\",\"messages\":[]}", key, 400, "invalid_request_error", "", "", "line 2 column 2"},
		"text after the body":           {"POST", "/v1/chat/completions", ask + "x", key, 400, "invalid_request_error", "", "", "after the JSON object"},
		"invalid UTF-8":                 {"POST", "/v1/chat/completions", "{\"model\":\"\xff\"}", key, 400, "invalid_request_error", "", "", "invalid UTF-8"},
		"no model":                      {"POST", "/v1/chat/completions", `{"messages":[]}`, key, 400, "invalid_request_error", "", "model", "model"},
		"a model that is no text":       {"POST", "/v1/chat/completions", `{"model":4,"messages":[]}`, key, 400, "invalid_request_error", "", "model", "string"},
		"no messages":                   {"POST", "/v1/chat/completions", `{"model":"m"}`, key, 400, "invalid_request_error", "", "messages", "messages"},
		"no input":                      {"POST", "/v1/embeddings", `{"model":"m"}`, key, 400, "invalid_request_error", "", "input", "input"},
		"a body over the limit":         {"POST", "/v1/chat/completions", `{"model":"m","messages":["` + strings.Repeat("x", 2<<20) + `"]}`, key, 413, "invalid_request_error", "request_too_large", "", "max_request"},
	} {
		t.Run(name, func(t *testing.T) {
			got := s.do(tc.method, tc.path, tc.body, "Authorization", tc.key)
			if got.status != tc.status {
				t.Errorf("status = %d, want %d: %s", got.status, tc.status, got.body)
			}
			kind, code, param, message := errorOf(t, got)
			if kind != tc.kind || code != tc.code || param != tc.param || !strings.Contains(message, tc.text) {
				t.Errorf("error = %s %q %q %q, want %s %q %q …%s…", kind, code, param, message, tc.kind, tc.code, tc.param, tc.text)
			}
			if got.header.Get("X-Isthmus-Request-Id") == "" && tc.status != 413 {
				t.Error("the error has no request id")
			}
		})
	}
	if got := s.post("/v1/chat/completions", ask, "Authorization", key, "X-Litellm-Timeout", "NaN"); got.status != 400 {
		t.Errorf("a time that is no number: %d %s", got.status, got.body)
	}
	if got := s.post("/v1/chat/completions", ask, "Authorization", key, "Content-Encoding", "gzip"); got.status != 415 {
		t.Errorf("a compressed body: %d %s", got.status, got.body)
	}
	if n := len(p.calls()); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	for _, header := range []string{"Authorization", "Api-Key", "X-Api-Key", "X-Litellm-Api-Key"} {
		value := "sk-master"
		if header == "Authorization" {
			value = key
		}
		if got := s.post("/v1/chat/completions", ask, header, value); got.status != 200 {
			t.Errorf("the right key in %s: %d %s", header, got.status, got.body)
		}
	}
}

func TestProbesAndModelListsNeedNoProvider(t *testing.T) {
	s := startStack(t, "model_list:\n"+entry("m", refused(t), "")+entry("org/big*", refused(t), "")+
		"router_settings: {model_group_alias: {short: m, both: [m, m], secret: {model: m, hidden: true}}}\n")
	for _, path := range []string{"/health/liveliness", "/health/liveness", "/health/readiness"} {
		if got := s.get(path); got.status != 200 {
			t.Errorf("%s = %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/v1/models", "/models", "/openai/v1/models"} {
		got := s.get(path)
		var list struct {
			Object string
			Data   []struct{ ID, Object string }
		}
		if err := json.Unmarshal([]byte(got.body), &list); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range list.Data {
			ids = append(ids, m.ID)
		}
		if fmt.Sprint(ids) != "[m org/big* short both]" || list.Object != "list" {
			t.Errorf("%s = %s", path, got.body)
		}
	}
	if got := s.get("/v1/models/org%2Fbig-1"); got.status != 200 || !strings.Contains(got.body, `"id":"org/big-1"`) {
		t.Errorf("a model under a wildcard: %d %s", got.status, got.body)
	}
	if got := s.do(http.MethodHead, "/v1/models", ""); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: %d %q", got.status, got.body)
	}
}

func TestEndpointsReachTheProvidersOwnPaths(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+
		fmt.Sprintf("- model_name: az\n  litellm_params: {model: azure/ignored, deployment_id: my dep, api_version: 2024-10-21, api_key: az-key, api_base: %q}\n", p.URL))
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
		before := len(p.calls())
		got := s.post(asked, `{"model":"m","messages":[],"input":"x","prompt":"x"}`)
		calls := p.calls()
		if got.status != 200 || len(calls) != before+1 || calls[before].path != want {
			t.Errorf("%s: %d %s; the provider got %v, want %s", asked, got.status, got.body, calls[before:], want)
		}
	}
	for _, c := range p.calls() {
		azure := strings.HasPrefix(c.path, "/openai/")
		if azure != (c.header.Get("Api-Key") == "az-key") || azure == (c.header.Get("Authorization") == "Bearer sk-provider") {
			t.Errorf("credentials at %s: %v", c.path, c.header)
		}
	}
}

func TestAMockAnswersWithoutAProvider(t *testing.T) {
	s := startStack(t, "model_list:\n"+entry("m", refused(t), `, mock_response: "canned words"`))
	if got := s.post("/v1/chat/completions", ask); got.status != 200 || !strings.Contains(got.body, `"content":"canned words"`) {
		t.Errorf("blocking: %d %s", got.status, got.body)
	}
	got := s.post("/v1/chat/completions", askStream)
	if got.status != 200 || !strings.Contains(got.body, "canned words") || !strings.HasSuffix(got.body, "data: [DONE]\n\n") {
		t.Errorf("stream: %d %s", got.status, got.body)
	}
}

func TestAnHTMLPageIsNoAnswer(t *testing.T) {
	portal := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html>Please log in</html>")
	})
	s := startStack(t, "model_list:\n"+entry("m", portal.base(), ""))
	got := s.post("/v1/chat/completions", ask)
	if _, code, _, _ := errorOf(t, got); got.status != 502 || code != "invalid_answer" {
		t.Errorf("answer = %d %s", got.status, got.body)
	}
}
