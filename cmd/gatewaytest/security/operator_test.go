package security

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// gossip is a server that refuses all it gets and tells what that was, as a proxy's
// error page may.
type gossip struct {
	*httptest.Server
	status atomic.Int32
	mu     sync.Mutex
	heard  strings.Builder
}

func newGossip(t *testing.T, status int) *gossip {
	g := &gossip{}
	g.status.Store(int32(status))
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.URL.String() + gatewaytest.HeaderText(r.Header)
		g.mu.Lock()
		_, _ = g.heard.WriteString(text)
		g.mu.Unlock()
		w.WriteHeader(int(g.status.Load()))
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gossip) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard.String()
}

// TestTheOperatorsSecretsStayWhereTheyBelong gives every sink and the Redis a
// secret, has each of them refuse and repeat it, and looks at all that the gateway
// says of itself.
func TestTheOperatorsSecretsStayWhereTheyBelong(t *testing.T) {
	for name, status := range map[string]int{"refused for good": 401, "tried again": 503} {
		t.Run(name, func(t *testing.T) {
			langfuse, mlflow, webhook := newGossip(t, status), newGossip(t, status), newGossip(t, status)
			spans := newGossip(t, status)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", spans.URL)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
			header := gatewaytest.Canary("span-header")
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key="+header)
			server := storetest.Start(t)
			if err := gatewaytest.NewRedisClient(t, server.Addr).ConfigSet(t.Context(), "requirepass", "right").Err(); err != nil {
				t.Fatal(err)
			}
			p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
			public, private, user, password := gatewaytest.Canary("public"), gatewaytest.Canary("private"), gatewaytest.Canary("user"),
				gatewaytest.Canary("password")
			token, query, signature, redis, tenant := gatewaytest.Canary("token"), gatewaytest.Canary("query"), gatewaytest.Canary("signature"),
				gatewaytest.Canary("redis"), gatewaytest.Canary("tenant")
			s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ", rpm: 100")+
				"litellm_settings: {set_verbose: true, cache: true, cache_params: {type: redis, url: \"redis://:"+redis+"@"+server.Addr+"\"}}\n"+
				"general_settings:\n  callbacks: [langfuse, mlflow, webhook]\n  tenant_header: X-Api-Key\n  tenant_limits: {rpm: 50}\n"+
				fmt.Sprintf("  langfuse_public_key: %s\n  langfuse_secret_key: %s\n  langfuse_host: %s\n", public, private, langfuse.URL)+
				fmt.Sprintf("  mlflow_tracking_uri: %q\n  mlflow_experiment_name: e\n",
					strings.Replace(mlflow.URL, "http://", "http://"+user+":"+password+"@", 1))+
				fmt.Sprintf("  webhook_url: \"%s/hook?key=%s\"\n  webhook_headers: {Authorization: %q}\n  webhook_secret: %s\n", webhook.URL, query,
					"Bearer "+token, signature))
			for _, more := range []string{"", `,"stream":true`} {
				s.Post("/v1/chat/completions", strings.Replace(gatewaytest.Ask, `]`, `]`+more, 1), "X-Api-Key", tenant)
			}
			basic := func(user, password string) string {
				return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
			}
			for name, sink := range map[string]struct {
				*gossip
				secret string
			}{"Langfuse": {langfuse, basic(public, private)}, "MLflow": {mlflow, basic(user, password)}, "the webhook": {webhook, token},
				"the collector": {spans, header}} {
				asynctest.Await(t, name+" got its secret", func() bool { return strings.Contains(sink.text(), sink.secret) })
			}
			asynctest.Await(t, "the sinks' troubles are counted", func() bool {
				return strings.Count(s.AdminGet("/metrics"), "isthmus_sink_retried_total{")+
					strings.Count(s.AdminGet("/metrics"), "isthmus_sink_dropped_total{") >= 6
			})
			places := map[string]string{
				"the metrics":     s.AdminGet("/metrics"),
				"the status page": s.AdminGet("/status/snapshot"),
				"the health page": s.AdminGet("/health"),
			}
			for _, g := range []*gossip{langfuse, mlflow, webhook, spans} {
				g.status.Store(401) // nothing is tried again at the end
			}
			s.Stop()
			places["the log"], places["the output"] = s.Stderr.String(), s.Stdout.String()
			if !strings.Contains(places["the log"], "redis does not answer") || !strings.Contains(places["the log"], "webhook") {
				t.Errorf("the log does not tell of the troubles:\n%s", places["the log"])
			}
			for _, secret := range []string{private, basic(public, private), password, basic(user, password), token, query, signature, redis, tenant,
				header} {
				for place, text := range places {
					if i := strings.Index(text, secret); i >= 0 {
						t.Errorf("%s is in %s: …%s…", secret, place, text[max(i-150, 0):min(i+len(secret)+20, len(text))])
					}
				}
			}
		})
	}
}
