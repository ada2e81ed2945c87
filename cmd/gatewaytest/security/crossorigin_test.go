package security

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// corsOf are the headers of an answer that say who may read it.
func corsOf(a *gatewaytest.Answer) map[string]string {
	out := map[string]string{}
	for name := range a.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			out[strings.ToLower(name)] = a.Header.Get(name)
		}
	}
	return out
}

const page = "https://chat.example.com"

// TestAPageOfAnAllowedOriginMayAskAndRead whatever the answer is: good, streamed,
// retried, cached, refused by us or by the provider, or out of time.
func TestAPageOfAnAllowedOriginMayAskAndRead(t *testing.T) {
	t.Parallel()
	good := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Access-Control-Allow-Origin", "https://of-the-provider.example")
		gatewaytest.OpenAI(w, r, body)
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", good.Base(), "")+
		gatewaytest.Entry("retried", gatewaytest.RefusedAddress(t), ", order: 1")+gatewaytest.Entry("retried", good.Base(), ", order: 2")+
		gatewaytest.Entry("fails", gatewaytest.NewProvider(t, gatewaytest.FailWith(400)).Base(), "")+
		gatewaytest.Entry("late", gatewaytest.NewProvider(t, gatewaytest.Hang).Base(), "")+
		"general_settings: {cache: true, master_key: sk-master, cors_allow_origins: ["+page+
		", http://localhost:3000]}\nrouter_settings: {request_timeout: 2}\n")
	yes := map[string]string{"access-control-allow-origin": page, "access-control-expose-headers": "*", "vary": "origin"}
	for name, tc := range map[string]struct {
		path, body string
		key        string
		status     int
	}{
		"a good answer":           {"/v1/chat/completions", gatewaytest.Ask, "sk-master", 200},
		"a stream":                {"/v1/chat/completions", gatewaytest.AskStream, "sk-master", 200},
		"one after a retry":       {"/v1/chat/completions", gatewaytest.ForModel("retried", gatewaytest.Ask), "sk-master", 200},
		"a provider's error":      {"/v1/chat/completions", gatewaytest.ForModel("fails", gatewaytest.Ask), "sk-master", 400},
		"a wrong key":             {"/v1/chat/completions", gatewaytest.Ask, "sk-other", 401},
		"no such path":            {"/v1/nothing", gatewaytest.Ask, "sk-master", 404},
		"no such model":           {"/v1/chat/completions", gatewaytest.ForModel("nobody", gatewaytest.Ask), "sk-master", 404},
		"a time that is up":       {"/v1/chat/completions", gatewaytest.ForModel("late", gatewaytest.Ask), "sk-master", 504},
		"a stream's that is up":   {"/v1/chat/completions", gatewaytest.ForModel("late", gatewaytest.AskStream), "sk-master", 504},
		"a good answer once more": {"/v1/chat/completions", gatewaytest.Ask, "sk-master", 200},
	} {
		got := s.Post(tc.path, tc.body, "Origin", page, "Authorization", "Bearer "+tc.key)
		if diff := cmp.Diff(yes, corsOf(got)); diff != "" || got.Status != tc.status {
			t.Errorf("%s: %d %s; told (-want +got):\n%s", name, got.Status, got.Body, diff)
		}
		got = s.Post(tc.path, tc.body, "Origin", "https://evil.example", "Authorization", "Bearer "+tc.key)
		if len(corsOf(got)) != 0 || got.Status != tc.status {
			t.Errorf("%s: another page is told %v", name, corsOf(got))
		}
	}
	got := s.Post("/v1/chat/completions", gatewaytest.Ask, "Origin", page, "Authorization", "Bearer sk-master")
	if got.Header.Get("X-Isthmus-Cache") != "hit" || !cmp.Equal(yes, corsOf(got)) {
		t.Errorf("from the cache: %v", got.Header)
	}
	if calls := good.Calls(); slices.ContainsFunc(calls, func(c gatewaytest.Call) bool { return c.Header.Get("Origin") != "" }) {
		t.Error("a provider is told of the page")
	}
	s.Idle()
}

func TestABrowserAsksWhatAPageMaySend(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	model := "model_list:\n" + gatewaytest.Entry("m", p.Base(), "")
	preflight := func(s *gatewaytest.Gateway, path, origin, names string) *gatewaytest.Answer {
		return s.Do(http.MethodOptions, path, "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers",
			names)
	}
	listed := gatewaytest.Start(t, model+"general_settings: {master_key: sk-master, cors_allow_origins: ["+page+"]}\n")
	got := preflight(listed, "/v1/chat/completions", page, "authorization,content-type,x-stainless-os")
	want := map[string]string{
		"access-control-allow-origin": page, "access-control-allow-methods": "POST",
		"access-control-allow-headers": "authorization,content-type,x-stainless-os",
		"access-control-max-age":       "7200", "access-control-expose-headers": "*", "vary": "origin",
	}
	if diff := cmp.Diff(want, corsOf(got)); diff != "" || got.Status != 204 || got.Body != "" {
		t.Errorf("%d %s; told (-want +got):\n%s", got.Status, got.Body, diff)
	}
	if got := preflight(listed, "/v1/models", page, ""); got.Status != 204 || got.Header.Get("Access-Control-Allow-Methods") != "GET" {
		t.Errorf("of the models: %d %v", got.Status, got.Header)
	}
	got = preflight(listed, "/v1/chat/completions", page, "x\"y")
	if got.Status != 204 || got.Header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("names that are none: %d %v", got.Status, got.Header)
	}
	if got := preflight(listed, "/v1/chat/completions", "https://evil.example", "x"); got.Status != 405 || len(corsOf(got)) != 0 {
		t.Errorf("another page: %d %v", got.Status, got.Header)
	}
	listed.Reconfigure(model + "general_settings: {cors_allow_origins: '*'}\n")
	got = preflight(listed, "/v1/chat/completions", "https://any.example", "x")
	if got.Status != 204 || got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Vary") != "" {
		t.Errorf("any page: %d %v", got.Status, got.Header)
	}
	listed.Reconfigure(model)
	if got := preflight(listed, "/v1/chat/completions", page, "x"); got.Status != 405 || len(corsOf(got)) != 0 {
		t.Errorf("no page: %d %v", got.Status, got.Header)
	}
}
