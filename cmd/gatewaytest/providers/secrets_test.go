package providers

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// TestSDKNoSecretLeavesItsPlace sends requests of every outcome through a cascade
// whose every key, header and client credential is a canary, and then looks at
// everything that went anywhere.
func TestSDKNoSecretLeavesItsPlace(t *testing.T) {
	c := newCascade(t)
	f := newClientCanaries()
	spans := gatewaytest.NewTraceCollector(t)
	records := gatewaytest.NewWebhook(t)
	// The cascade, and two groups of a provider that fails and quotes its request.
	lone := func(name, model, base string, p *strictProvider) string {
		return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %q, api_base: %q, api_key: %s, headers: {X-Tenant: %s}}\n", name, model,
			base, c.secrets[p][0], c.secrets[p][1])
	}
	s := gatewaytest.Start(t, c.list("m", "m", "m")+
		lone("dead", "openai/gpt-4o", c.openai.Base(), c.openai)+
		lone("dead-claude", "anthropic/claude-sonnet-4-5", c.anthropic.URL, c.anthropic)+
		"router_settings: {num_retries: 2, cooldown_time: 0}\nlitellm_settings: {set_verbose: true}\n"+
		"general_settings: {callbacks: [webhook], webhook_url: \""+records.URL+"\", master_key: "+f.master+"}\n")

	places := f.visit(t, s)
	var received []string // places
	for _, p := range c.providers() {
		place := c.place(p)
		for _, call := range p.Calls() {
			places[place] += call.Path + gatewaytest.HeaderText(call.Header) + call.Body + "\n"
		}
		received = append(received, place)
	}
	collectLogs(s, t, places)
	if places["the spans"] = spans.Text(); !strings.Contains(places["the spans"], "gen_ai.usage.input_tokens") {
		t.Error("no spans came")
	}
	texts, _ := records.Records(t)
	places["the records"] = fmt.Sprintf("%s", texts)
	received = append(received, "the records")

	for _, p := range c.providers() {
		for _, secret := range c.secrets[p] {
			gatewaytest.ExpectOnly(t, places, secret, c.place(p))
		}
	}
	for _, secret := range f.client {
		gatewaytest.ExpectOnly(t, places, secret)
	}
	gatewaytest.ExpectOnly(t, places, f.beta, c.place(c.anthropic), "an error of Anthropic", "the records") // it quotes them
	gatewaytest.ExpectOnly(t, places, f.prompt, received...)
}

// place is the name of what a provider received.
func (c *cascade) place(p *strictProvider) string { return fmt.Sprintf("what %T received", p.format) }

// clientCanaries is the canaries that a client sends.
type clientCanaries struct {
	master, query, prompt string
	headers               []string // name, value, …; the first is the master key
	client                []string // all that nobody may see but the gateway
	beta                  string   // what Anthropic may see, too
}

func newClientCanaries() *clientCanaries {
	f := &clientCanaries{master: gatewaytest.Canary("master"), query: gatewaytest.Canary("query"), prompt: gatewaytest.Canary("prompt")}
	f.headers = []string{"X-Litellm-Api-Key", f.master}
	f.client = []string{f.master, f.query}
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Custom", "Proxy-Authorization",
		"Openai-Organization"} {
		value := gatewaytest.Canary("client-" + strings.ToLower(name))
		f.client = append(f.client, value)
		f.headers = append(f.headers, name, value)
	}
	f.beta = gatewaytest.Canary("client-beta")
	f.headers = append(f.headers, "Anthropic-Beta", f.beta)
	return f
}

// outcomes is how many requests visit makes.
const outcomes = 12

// visit makes a request for every outcome and returns what came back.
func (f *clientCanaries) visit(t *testing.T, s *gatewaytest.Gateway) map[string]string {
	t.Helper()
	ask := func(model, more string) string {
		return fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":%q},{"role":"user",`+
			`"content":"hello"}]%s}`, model, f.prompt, more)
	}
	path := "/v1/chat/completions?key=" + f.query
	places := map[string]string{}
	for name, got := range map[string]*gatewaytest.Answer{
		"the answer":            s.Post(path, ask("m", ""), f.headers...),
		"the stream":            s.Post(path, ask("m", `,"stream":true`), f.headers...),
		"an error":              s.Post(path, ask("dead", ""), f.headers...),
		"an error of a stream":  s.Post(path, ask("dead", `,"stream":true`), f.headers...),
		"an error of Anthropic": s.Post(path, ask("dead-claude", ""), f.headers...),
		"an unknown model":      s.Post(path, ask("nope", ""), f.headers...),
		"an unknown path":       s.Post("/v1/nowhere?key="+f.query, ask("m", ""), f.headers...),
		"broken JSON":           s.Post(path, ask("m", "")+f.prompt, f.headers...),
		"a wrong key":           s.Post(path, ask("m", ""), f.headers[2:]...),
		"the model list":        s.Get("/v1/models?key="+f.query, f.headers...),
		"a wrong method":        s.Do(http.MethodDelete, path, "", f.headers...),
		"a refused parameter":   s.Post(path, ask("dead-claude", `,"logit_bias":{"1":1}`), f.headers...),
	} {
		places[name] = fmt.Sprint(got.Status) + gatewaytest.HeaderText(got.Header) + got.Body
	}
	for name, status := range map[string]string{"the answer": "200", "the stream": "200", "an error": "500", "an error of Anthropic": "529",
		"a wrong key": "401", "broken JSON": "400", "a refused parameter": "400"} {
		if !strings.HasPrefix(places[name], status) {
			t.Errorf("%s has not the status %s: %.300s", name, status, places[name])
		}
	}
	return places
}

// collectLogs adds all that the gateway says of itself, and ends it.
func collectLogs(s *gatewaytest.Gateway, t *testing.T, places map[string]string) {
	t.Helper()
	places["the health page"], places["the metrics"] = s.AdminGet("/health"), s.AdminGet("/metrics")
	s.Stop()
	places["the output"], places["the log"] = s.Stdout.String(), s.Stderr.String()
	text, err := os.ReadFile(s.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	places["the access log"] = string(text)
	if !strings.Contains(places["the log"], `"msg":"attempt"`) || strings.Count(places["the access log"], "\n") != outcomes {
		t.Errorf("the logs are not those meant:\n%s\n%s", places["the log"], places["the access log"])
	}
}
