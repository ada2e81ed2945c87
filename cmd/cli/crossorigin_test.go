package cli

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// corsOf are the headers of an answer that say who may read it.
func corsOf(a *answer) map[string]string {
	out := map[string]string{}
	for name := range a.header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			out[strings.ToLower(name)] = a.header.Get(name)
		}
	}
	return out
}

const page = "https://chat.example.com"

// TestAPageOfAnAllowedOriginMayAskAndRead whatever the answer is: good, streamed,
// retried, cached, refused by us or by the provider, or out of time.
func TestAPageOfAnAllowedOriginMayAskAndRead(t *testing.T) {
	good := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Access-Control-Allow-Origin", "https://of-the-provider.example")
		openAI(w, r, body)
	})
	s := startStack(t, "model_list:\n"+entry("m", good.base(), "")+entry("retried", refused(t), ", order: 1")+entry("retried", good.base(), ", order: 2")+
		entry("fails", newProvider(t, failWith(400)).base(), "")+entry("late", newProvider(t, hang).base(), "")+
		"general_settings: {cache: true, master_key: sk-master, cors_allow_origins: ["+page+", http://localhost:3000]}\nrouter_settings: {request_timeout: 2}\n")
	yes := map[string]string{"access-control-allow-origin": page, "access-control-expose-headers": "*", "vary": "origin"}
	for name, tc := range map[string]struct {
		path, body string
		key        string
		status     int
	}{
		"a good answer":           {"/v1/chat/completions", ask, "sk-master", 200},
		"a stream":                {"/v1/chat/completions", askStream, "sk-master", 200},
		"one after a retry":       {"/v1/chat/completions", named("retried", ask), "sk-master", 200},
		"a provider's error":      {"/v1/chat/completions", named("fails", ask), "sk-master", 400},
		"a wrong key":             {"/v1/chat/completions", ask, "sk-other", 401},
		"no such path":            {"/v1/nothing", ask, "sk-master", 404},
		"no such model":           {"/v1/chat/completions", named("nobody", ask), "sk-master", 404},
		"a time that is up":       {"/v1/chat/completions", named("late", ask), "sk-master", 504},
		"a stream's that is up":   {"/v1/chat/completions", named("late", askStream), "sk-master", 504},
		"a good answer once more": {"/v1/chat/completions", ask, "sk-master", 200},
	} {
		got := s.post(tc.path, tc.body, "Origin", page, "Authorization", "Bearer "+tc.key)
		if diff := cmp.Diff(yes, corsOf(got)); diff != "" || got.status != tc.status {
			t.Errorf("%s: %d %s; told (-want +got):\n%s", name, got.status, got.body, diff)
		}
		if got := s.post(tc.path, tc.body, "Origin", "https://evil.example", "Authorization", "Bearer "+tc.key); len(corsOf(got)) != 0 || got.status != tc.status {
			t.Errorf("%s: another page is told %v", name, corsOf(got))
		}
	}
	if got := s.post("/v1/chat/completions", ask, "Origin", page, "Authorization", "Bearer sk-master"); got.header.Get("X-Isthmus-Cache") != "hit" || !cmp.Equal(yes, corsOf(got)) {
		t.Errorf("from the cache: %v", got.header)
	}
	if calls := good.calls(); slices.ContainsFunc(calls, func(c call) bool { return c.header.Get("Origin") != "" }) {
		t.Error("a provider is told of the page")
	}
	s.idle()
}

func TestABrowserAsksWhatAPageMaySend(t *testing.T) {
	p := newProvider(t, openAI)
	model := "model_list:\n" + entry("m", p.base(), "")
	preflight := func(s *stack, path, origin, names string) *answer {
		return s.do(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", names)
	}
	listed := startStack(t, model+"general_settings: {master_key: sk-master, cors_allow_origins: ["+page+"]}\n")
	got := preflight(listed, "/v1/chat/completions", page, "authorization,content-type,x-stainless-os")
	want := map[string]string{
		"access-control-allow-origin": page, "access-control-allow-methods": "POST", "access-control-allow-headers": "authorization,content-type,x-stainless-os",
		"access-control-max-age": "7200", "access-control-expose-headers": "*", "vary": "origin",
	}
	if diff := cmp.Diff(want, corsOf(got)); diff != "" || got.status != 204 || got.body != "" {
		t.Errorf("%d %s; told (-want +got):\n%s", got.status, got.body, diff)
	}
	if got := preflight(listed, "/v1/models", page, ""); got.status != 204 || got.header.Get("Access-Control-Allow-Methods") != "GET" {
		t.Errorf("of the models: %d %v", got.status, got.header)
	}
	if got := preflight(listed, "/v1/chat/completions", page, "x\"y"); got.status != 204 || got.header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("names that are none: %d %v", got.status, got.header)
	}
	if got := preflight(listed, "/v1/chat/completions", "https://evil.example", "x"); got.status != 405 || len(corsOf(got)) != 0 {
		t.Errorf("another page: %d %v", got.status, got.header)
	}
	listed.reconfigure(model + "general_settings: {cors_allow_origins: '*'}\n")
	if got := preflight(listed, "/v1/chat/completions", "https://any.example", "x"); got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Vary") != "" {
		t.Errorf("any page: %d %v", got.status, got.header)
	}
	listed.reconfigure(model)
	if got := preflight(listed, "/v1/chat/completions", page, "x"); got.status != 405 || len(corsOf(got)) != 0 {
		t.Errorf("no page: %d %v", got.status, got.header)
	}
}
