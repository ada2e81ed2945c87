package extproc

import (
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

// wildcards serves every name, from providers with the model's name in the path and
// without.
const wildcards = `
model_list:
- model_name: up/*
  litellm_params: {model: openai/*, api_key: k-openai, api_base: "https://openai.example/v1"}
- model_name: gem/*
  litellm_params: {model: gemini/*, api_key: k-gemini}
- model_name: az/*
  litellm_params: {model: azure/*, api_key: k-azure, api_base: "https://azure.example"}
- model_name: odd-*
  litellm_params: {model: "gemini/.*", api_key: k-gemini}
`

// TestANameThatMayNotLeaveIsRefused, wherever a client can write one.
func TestANameThatMayNotLeaveIsRefused(t *testing.T) {
	h := newHouse(t, wildcards)
	body := func(model, more string) string {
		return `{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]` + more + `}`
	}
	for name, tc := range map[string]struct {
		path, body string
		header     []string
	}{
		"bytes in an Azure-style path":        {path: "/openai/deployments/up%2Fok%FF/chat/completions", body: body("x", "")},
		"a control character there":           {path: "/openai/deployments/up%2Fok%0A/chat/completions", body: body("x", "")},
		"DEL there":                           {path: "/openai/deployments/up%2Fok%7F/chat/completions", body: body("x", "")},
		"C1 there":                            {path: "/openai/deployments/up%2Fok%C2%85/chat/completions", body: body("x", "")},
		"two dots there":                      {path: "/openai/deployments/az%2F../chat/completions", body: body("x", "")},
		"encoded twice there":                 {path: "/openai/deployments/gem%2F%252e%252e%2Fx/chat/completions", body: body("x", "")},
		"an engine":                           {path: "/v1/engines/up%2F%FF/completions", body: body("x", "")},
		"dots in the body":                    {body: body("gem/../../x:y", "")},
		"a backslash in the body":             {body: body(`gem/..\\x`, "")},
		"an encoded slash in the body":        {body: body("gem/a%2f..%2fb", "")},
		"a control character in the body":     {body: body(`up/a\u0007`, "")},
		"a lone surrogate in the body":        {body: body(`up/a\ud800`, "")},
		"a wildcard that makes two dots":      {body: body("odd-.", "")},
		"a fallback":                          {body: body("up/a", `,"fallbacks":["gem/../x"]`)},
		"a fallback that is an object":        {body: body("up/a", `,"fallbacks":[{"model":"gem/a\u0000"}]`)},
		"a tag":                               {body: body("up/a", `,"tags":["a\u0000"]`)},
		"a tag of the metadata":               {body: body("up/a", `,"metadata":{"tags":["a\nb"]}`)},
		"bytes in a tag of the header":        {body: body("up/a", ""), header: []string{"x-litellm-tags", "ok,\xff"}},
		"a long name":                         {body: body("up/"+strings.Repeat("m", 1100), "")},
		"a name of dots alone, in every form": {body: body("az/%2E%2e", "")},
	} {
		t.Run(name, func(t *testing.T) {
			f := h.open(names.FilterRequest)
			path := tc.path
			if path == "" {
				path = "/v1/chat/completions"
			}
			answer := f.ask(requestHeaders(false,
				append([]string{":method", "POST", ":path", path, ":authority", "gateway", ":scheme", "http"}, tc.header...)...))
			if answer.GetImmediateResponse() == nil {
				answer = f.ask(requestBody(tc.body))
			}
			if got := answer.GetImmediateResponse(); got.GetStatus().GetCode() != http.StatusBadRequest {
				t.Errorf("it went on: %T %s", answer.GetResponse(), got.GetBody())
			}
		})
	}
	f := h.open(names.FilterRequest)
	show := f.ask(requestHeaders(true, ":method", "GET", ":path", "/v1/models/up%2F%FF", ":authority", "gateway", ":scheme", "http"))
	if got := show.GetImmediateResponse(); got.GetStatus().GetCode() != http.StatusBadRequest {
		t.Errorf("a model's page: %s", got)
	}
}

// TestASlashOfANameLeavesNoFolder: only the provider's own names have one.
func TestASlashOfANameLeavesNoFolder(t *testing.T) {
	h := newHouse(t, wildcards)
	for model, want := range map[string]string{
		"gem/gemini-2.5-pro":        "/v1beta/models/gemini-2.5-pro:generateContent",
		"gem/models/gemini-2.5-pro": "/v1beta/models/gemini-2.5-pro:generateContent",
		"gem/tunedModels/mine":      "/v1beta/tunedModels/mine:generateContent",
		"gem/files/x?y":             "/v1beta/models/files%2Fx%3Fy:generateContent",
		"gem/models/a/b":            "/v1beta/models/a%2Fb:generateContent",
		"az/a/b":                    "/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21",
		"up/a/../b.c/":              "",
		"up/a/b":                    "/v1/chat/completions",
	} {
		f := h.open(names.FilterRequest)
		f.ask(requestHeaders(false, begun()...))
		answer := f.ask(requestBody(`{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]}`))
		set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation(), begun()...)
		if want == "" {
			if answer.GetImmediateResponse() == nil {
				t.Errorf("%s went to %s", model, set[":path"])
			}
			continue
		}
		if set[":path"] != want {
			t.Errorf("%s went to %q, want %q", model, set[":path"], want)
		}
	}
}
