package security

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// quoting is every secret of a test. Providers quote those of the configuration.
type quoting struct {
	mu    sync.Mutex
	text  string            // what is quoted
	owner map[string]string // of each: the place that may have it, "" for none
}

// add makes a secret that the place owner alone may have, and that providers quote.
func (q *quoting) add(name, owner string) string {
	s := q.hide(name, owner)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.text += " " + s
	return s
}

// hide makes one that providers never come to know.
func (q *quoting) hide(name, owner string) string {
	s := gatewaytest.Canary(name)
	q.owner[s] = owner
	return s
}

func (q *quoting) quote() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.text
}

// headers sets all that a client may be shown, and more, to the secrets.
func (q *quoting) headers(w http.ResponseWriter) {
	for _, name := range []string{
		"Retry-After", "X-Ratelimit-Limit-Requests", "X-Request-Id", "Request-Id", "Openai-Version", "Openai-Organization", "Set-Cookie",
		"X-Should-Retry",
		"Anthropic-Ratelimit-Tokens-Limit", "Location", "Www-Authenticate", "Content-Disposition",
	} {
		w.Header().Set(name, q.quote()[:min(len(q.quote()), 2000)])
	}
}

// bodiesOf is a sink that keeps what is sent to it, without the headers that it is
// sent with, and says that all is well.
type bodiesOf struct {
	*httptest.Server
	mu   sync.Mutex
	text strings.Builder
}

func newBodies(t *testing.T) *bodiesOf {
	b := &bodiesOf{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(z)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		_, _ = b.text.Write(body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"experiment":{"experiment_id":"1"},"experiment_id":"1","successes":[],"errors":[]}`)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bodiesOf) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestNoSecretOfAConfigurationOrAClientIsAnywhereElse puts one into every place that
// holds some, has the providers quote them all, in good answers' headers and in every
// member and header of errors, and looks at all that goes out.
func TestNoSecretOfAConfigurationOrAClientIsAnywhereElse(t *testing.T) {
	q := &quoting{owner: map[string]string{}}
	fails := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		q.headers(w)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"message":%q,"type":%[1]q,"param":%[1]q,"code":%[1]q,"innererror":{"x":%[1]q}}}`, q.quote())
	})
	breaks := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		w.Header().Set("Content-Type", "application/json")
		text := fmt.Sprintf(`{"error":{"message":%q,"type":%[1]q,"code":%[1]q,"more":[%[1]q]}}`, q.quote())
		if strings.Contains(body, `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			text = "data: " + text + "\n\n"
		}
		gatewaytest.Flush(w) // no length
		fmt.Fprint(w, text)
	})
	good := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		q.headers(w)
		gatewaytest.OpenAI(w, r, body)
	})
	spans, records, langfuse, mlflow := gatewaytest.NewTraceCollector(t), gatewaytest.NewWebhook(t), newBodies(t), newBodies(t)
	server := storetest.Start(t)
	redis := q.add("redis", "")
	if err := gatewaytest.NewRedisClient(t, server.Addr).ConfigSet(t.Context(), "requirepass", redis).Err(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hooks, variables := filepath.Join(dir, "hooks"), filepath.Join(dir, "secrets.env")
	t.Setenv("CANARY_OF_ENVIRONMENT", q.add("environment", "fails"))
	err := os.WriteFile(variables, []byte("CANARY_OF_FILE="+q.add("file", "breaks")+"\nUNUSED_SECRET="+q.hide("unused", "")+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	master := q.add("master", "")
	config := "model_list:\n" +
		fmt.Sprintf("- model_name: fails\n"+
			"  litellm_params: {model: openai/up, api_key: os.environ/CANARY_OF_ENVIRONMENT, api_base: %q, headers: {X-Tenant: %s}, "+
			"extra_headers: {X-Token: Bearer %s}}\n", fails.Base(), q.add("header", "fails"), q.add("extra-header", "fails")) +
		fmt.Sprintf("- model_name: breaks\n  litellm_params: {model: openai/up, api_key: os.environ/CANARY_OF_FILE, api_base: %q}\n",
			breaks.Base()) +
		fmt.Sprintf("- model_name: good\n  litellm_params: {model: azure/up, azure_ad_token: %s, api_base: %q, api_version: 2024-10-21}\n",
			q.add("ad-token", "good"), good.URL) +
		"router_settings: {num_retries: 1, cooldown_time: 0, fallbacks: [{fails: [good]}]}\n" +
		fmt.Sprintf("litellm_settings: {set_verbose: true, cache: true, cache_params: {type: redis, url: 'redis://:%s@%s'}}\n", redis,
			server.Addr) +
		"general_settings:\n  callbacks: [langfuse, mlflow, webhook, otel, 'exec:tee " + hooks + "']\n" +
		"  master_key: " + master + "\n  tenant_header: X-Api-Key\n" +
		fmt.Sprintf("  langfuse_public_key: pk\n  langfuse_secret_key: %s\n  langfuse_host: %s\n", q.add("langfuse", ""), langfuse.URL) +
		fmt.Sprintf("  mlflow_tracking_uri: %q\n  mlflow_experiment_name: e\n",
			strings.Replace(mlflow.URL, "http://", "http://user:"+q.add("mlflow", "")+"@", 1)) +
		fmt.Sprintf("  webhook_url: \"%s/hook?key=%s\"\n  webhook_headers: {Authorization: %q}\n  webhook_secret: %s\n",
			records.URL, q.add("webhook-url", ""), "Bearer "+q.add("webhook-header", ""), q.add("webhook-secret", ""))
	var client []string // headers: name, value, …
	for _, name := range []string{"Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key", "Cookie", "Proxy-Authorization", "X-Custom",
		"Openai-Organization", "Origin-Secret"} {
		client = append(client, name, q.hide("client-"+strings.ToLower(name), ""))
	}
	client = append(client, "X-Litellm-Api-Key", master)
	query := q.hide("client-query", "")
	var members strings.Builder
	for _, member := range []string{
		`"api_key":"KEY"`, `"api_base":"https://KEY"`, `"extra_headers":{"x":"KEY"}`, `"headers":{"x":"KEY"}`, `"user_config":{"x":"KEY"}`,
		`"litellm_metadata":{"x":"KEY"}`, `"aws_secret_access_key":"KEY"`, `"langfuse_secret_key":"KEY"`, `"extra_body":{"api_key":"KEY"}`,
		`"litellm_anything":"KEY"`,
	} {
		members.WriteString("," + strings.ReplaceAll(member, "KEY", q.hide("client-member", "")))
	}
	s := gatewaytest.Start(t, config, "--env-file", variables)
	places := map[string]string{}
	for _, model := range []string{"fails", "breaks", "good"} {
		for name, body := range map[string]string{"blocking": gatewaytest.Ask, "stream": gatewaytest.AskStream} {
			body = gatewaytest.ForModel(model, strings.TrimSuffix(body, "}")+members.String()+"}")
			got := s.Post("/v1/chat/completions?key="+query, body, client...)
			places["the answer of "+model+", "+name] = fmt.Sprint(got.Status) + gatewaytest.HeaderText(got.Header) + got.Body
		}
	}
	got := s.Post(
		"/v1/chat/completions?key="+query,
		gatewaytest.ForModel("fails", `{"model":"m","disable_fallbacks":true,"messages":[]`+members.String()+"}"),
		client...)
	if places["an error"] = fmt.Sprint(got.Status) + gatewaytest.HeaderText(got.Header) + got.Body; got.Status != 401 ||
		!strings.Contains(got.Body, "[secret]") {
		t.Errorf("an error: %d %s", got.Status, got.Body)
	}
	places["a path"] = s.Post("/v1/nowhere?key="+query, "{}", client...).Body
	for name, p := range map[string]*gatewaytest.Provider{"fails": fails, "breaks": breaks, "good": good} {
		for _, c := range p.Calls() {
			places[name] += c.Path + gatewaytest.HeaderText(c.Header) + c.Body + "\n"
		}
	}
	const asked = 7
	asynctest.Await(t, "all records came", func() bool {
		texts, _ := records.Records(t)
		written, _ := os.ReadFile(hooks)
		return len(texts) >= asked && strings.Contains(langfuse.String(), "chat") &&
			strings.Contains(langfuse.String()+mlflow.String(), "chatcmpl") &&
			strings.Count(string(written), "litellm_call_id") >= asked
	})
	for _, path := range []string{"/health", "/metrics", "/model/info", "/v1/models", "/status/snapshot", "/status", "/cache/ping"} {
		places["the admin port's "+path] = adminAs(s, path, master)
	}
	for name, args := range map[string][]string{
		"isthmus check": {"check"}, "isthmus envoy": {"envoy"}, "isthmus envoy, filters": {"envoy", "--format", "filters"},
	} {
		out, problems := &asynctest.Text{}, &asynctest.Text{}
		cli.Run(t.Context(), append(args, "--config", s.File, "--env-file", variables), out, problems)
		if places[name] = out.String() + problems.String(); places[name] == "" {
			t.Errorf("%s says nothing", name)
		}
	}
	s.Stop()
	texts, _ := records.Records(t)
	written, _ := os.ReadFile(hooks)
	accessLog, _ := os.ReadFile(s.AccessLog)
	places["the webhook"], places["Langfuse"], places["MLflow"], places["the hooks"] = fmt.Sprintf("%s", texts), langfuse.String(),
		mlflow.String(), string(written)
	places["the spans"], places["the log"], places["the output"], places["the access log"] = spans.Text(), s.Stderr.String(),
		s.Stdout.String(), string(accessLog)
	for name, sign := range map[string]string{
		"the webhook": "model_parameters", "the hooks": "model_parameters", "Langfuse": "chat", "the spans": "gen_ai.request.model",
		"the log": `"msg":"attempt"`, "the access log": "fails",
		"the admin port's /status/snapshot": `"requests"`, "the admin port's /model/info": "model_name", "isthmus envoy": "static_resources",
	} {
		if !strings.Contains(places[name], sign) {
			t.Errorf("%s is not what is meant: %.300s", name, places[name])
		}
	}
	for secret, owner := range q.owner {
		if owner != "" {
			gatewaytest.ExpectOnly(t, places, secret, owner)
		} else {
			gatewaytest.ExpectOnly(t, places, secret)
		}
		for place, text := range places {
			if strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("pk:"+secret))) ||
				strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("user:"+secret))) {
				t.Errorf("a sink's authorization is in %s", place)
			}
		}
	}
}

// adminAs asks the admin port with a key.
func adminAs(s *gatewaytest.Gateway, path, key string) string {
	s.T.Helper()
	req, err := http.NewRequestWithContext(s.T.Context(), http.MethodGet, s.Admin+path, nil)
	if err != nil {
		s.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.T.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return string(body)
}
