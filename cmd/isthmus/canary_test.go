package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"sort"
	"strings"
	"testing"
)

// canary makes a secret that can be found again wherever it sings.
func canary(name string) string { return "canary-" + name + "-" + rand.Text() }

// TestSDKNoSecretLeavesItsPlace sends requests of every outcome through a cascade
// whose every key, header and client credential is a canary, and then looks at
// everything that went anywhere.
func TestSDKNoSecretLeavesItsPlace(t *testing.T) {
	c := newCascade(t)
	master := canary("master")
	// The cascade, and two groups of a provider that fails and quotes its request.
	lone := func(name, model, base string, p *scripted) string {
		return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %q, api_base: %q, api_key: %s, headers: {X-Tenant: %s}}\n", name, model, base, c.secrets[p][0], c.secrets[p][1])
	}
	s := startStack(t, c.list("m", "m", "m")+
		lone("dead", "openai/gpt-4o", c.openai.base(), c.openai)+
		lone("dead-claude", "anthropic/claude-sonnet-4-5", c.anthropic.URL, c.anthropic)+
		"router_settings: {num_retries: 2, cooldown_time: 0}\nlitellm_settings: {set_verbose: true}\ngeneral_settings: {master_key: "+master+"}\n")

	credentials := []string{"X-Litellm-Api-Key", master}
	var client []string // canaries of the client
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Custom", "Proxy-Authorization", "Openai-Organization", "Anthropic-Beta"} {
		value := canary("client-" + strings.ToLower(name))
		client = append(client, value)
		credentials = append(credentials, name, value)
	}
	prompt, query := canary("prompt"), canary("query")
	client = append(client, master, query)
	ask := func(model, more string) string {
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":%q},{"role":"user","content":"hello"}]%s}`, model, prompt, more)
	}
	path := "/v1/chat/completions?key=" + query
	places := map[string]string{}
	for name, got := range map[string]*answer{
		"the answer":            s.post(path, ask("m", ""), credentials...),
		"the stream":            s.post(path, ask("m", `,"stream":true`), credentials...),
		"an error":              s.post(path, ask("dead", ""), credentials...),
		"an error of a stream":  s.post(path, ask("dead", `,"stream":true`), credentials...),
		"an error of Anthropic": s.post(path, ask("dead-claude", ""), credentials...),
		"an unknown model":      s.post(path, ask("nope", ""), credentials...),
		"an unknown path":       s.post("/v1/nowhere?key="+query, ask("m", ""), credentials...),
		"broken JSON":           s.post(path, ask("m", "")+prompt, credentials...),
		"a wrong key":           s.post(path, ask("m", ""), credentials[2:]...),
		"the model list":        s.get("/v1/models?key="+query, credentials...),
		"a wrong method":        s.do(http.MethodDelete, path, "", credentials...),
		"a refused parameter":   s.post(path, ask("dead-claude", `,"logit_bias":{"1":1}`), credentials...),
	} {
		places[name] = fmt.Sprint(got.status) + headerText(got.header) + got.body
	}
	if !strings.HasPrefix(places["the answer"], "200") || !strings.HasPrefix(places["an error"], "500") || !strings.HasPrefix(places["a wrong key"], "401") {
		t.Errorf("the answers are not those meant: %.60q %.60q %.60q", places["the answer"], places["an error"], places["a wrong key"])
	}
	received := map[*scripted]string{}
	for _, p := range c.providers() {
		for _, call := range p.calls() {
			received[p] += call.path + headerText(call.header) + call.body + "\n"
		}
		places[fmt.Sprintf("what %T received", p.format)] = received[p]
	}
	places["the health page"], places["the metrics"] = s.adminGet("/health"), s.adminGet("/metrics")
	s.stop()
	places["the output"], places["the log"] = s.stdout.String(), s.stderr.String()
	text, err := os.ReadFile(s.accessLog)
	if err != nil {
		t.Fatal(err)
	}
	places["the access log"] = string(text)
	if !strings.Contains(places["the log"], `"msg":"attempt"`) || strings.Count(places["the access log"], "\n") != 12 {
		t.Errorf("the logs are not those meant:\n%s\n%s", places["the log"], places["the access log"])
	}

	for _, p := range c.providers() {
		for _, secret := range c.secrets[p] {
			expectOnly(t, places, secret, fmt.Sprintf("what %T received", p.format))
		}
	}
	for _, secret := range client {
		expectOnly(t, places, secret)
	}
	var providers []string
	for _, p := range c.providers() {
		providers = append(providers, fmt.Sprintf("what %T received", p.format))
	}
	expectOnly(t, places, prompt, providers...)
	for _, name := range []string{"the answer", "the stream"} {
		for _, own := range []string{"org-of-the-provider", "__cf_bm"} {
			if strings.Contains(places[name], own) {
				t.Errorf("%s has the provider's %s", name, own)
			}
		}
	}
}

// expectOnly checks that a canary sings in these places, and in no other.
func expectOnly(t *testing.T, places map[string]string, secret string, allowed ...string) {
	t.Helper()
	name := secret[:strings.LastIndexByte(secret, '-')]
	for _, place := range allowed {
		if !strings.Contains(places[place], secret) {
			t.Errorf("%s is not in %s: this test sees nothing", name, place)
		}
	}
next:
	for place, text := range places {
		for _, a := range allowed {
			if a == place {
				continue next
			}
		}
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("%s is in %s: …%s…", name, place, text[max(i-80, 0):min(i+len(secret)+20, len(text))])
		}
	}
}

// headerText is a header as text, sorted.
func headerText(h http.Header) string {
	var lines []string
	for name, values := range h {
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	sort.Strings(lines)
	return "\n" + strings.Join(lines, "\n") + "\n\n"
}
