package admin

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/isthmus-proxy/isthmus/extproc"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// port is an admin port over a model config that no Envoy uses.
type port struct {
	t       *testing.T
	runtime *extproc.Runtime
	router  *routing.Router
}

func newPort(t *testing.T, text string) *port {
	t.Helper()
	c, _, err := config.Parse("test.yaml", []byte(text), config.Options{Lookup: func(string) (string, bool) { return "", false }})
	if err != nil {
		t.Fatal(err)
	}
	router, err := routing.New(c, routing.Options{Float: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	runtime := extproc.NewRuntime(metrics.New(prometheus.NewRegistry(), "test"), slog.New(slog.DiscardHandler))
	runtime.Use(router, extproc.Settings{MasterKey: c.MasterKey})
	return &port{t: t, runtime: runtime, router: router}
}

// get asks for a path, with a key unless it is "".
func (p *port) get(path, key string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	NewHandler(p.runtime, http.NotFoundHandler()).ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const openModel = "model_list:\n- model_name: m\n  litellm_params: {model: openai/up, api_key: k, api_base: \"http://up.example/v1\"}\n"

// TestAPageOfAnotherSiteChangesNothingOnTheAdminPort, nor reads by a name of its own.
func TestAPageOfAnotherSiteChangesNothingOnTheAdminPort(t *testing.T) {
	open := newPort(t, openModel)
	keyed := newPort(t, openModel+"general_settings: {master_key: sk-master-key}\n")
	listed := newPort(t, openModel)
	listed.runtime.Use(listed.router, extproc.Settings{Origins: []string{"https://admin.example"}})
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	for name, tc := range map[string]struct {
		port         *port
		method, path string
		host         string
		header       []string
		status       int
	}{
		"a foreign page flushes the cache": {open, "POST", "/cache/flushall", "127.0.0.1:9102", []string{"Origin", "http://evil.example"},
			403},
		"the same of a newer browser": {open, "POST", "/cache/flushall", "127.0.0.1:9102", []string{"Sec-Fetch-Site", "cross-site"},
			403},
		"a person does":                        {open, "POST", "/cache/flushall", "127.0.0.1:9102", nil, 404}, // there is no cache
		"a rebound name reads the page's data": {open, "GET", "/status/snapshot", "evil.example:1234", nil, 403},
		"a rebound name reads the models":      {open, "GET", "/model/info", "evil.example", nil, 403},
		"a rebound name reads the health":      {open, "GET", "/health", "evil.example", nil, 403},
		"a rebound name asks for the cache":    {open, "GET", "/cache/ping", "evil.example", nil, 403},
		"by address":                           {open, "GET", "/status/snapshot", "10.1.2.3:9102", nil, 200},
		"by IPv6 address":                      {open, "GET", "/model/info", "[::1]:9102", nil, 200},
		"as localhost":                         {open, "GET", "/model/info", "localhost:9102", nil, 200},
		"by a service's name":                  {open, "GET", "/model/info", "isthmus:9102", nil, 200},
		"by the name of an allowed origin":     {listed, "GET", "/model/info", "admin.example:9102", nil, 200},
		"by another name":                      {listed, "GET", "/model/info", "other.example:9102", nil, 403},
		"with the master key": {keyed, "GET", "/model/info", "admin.example:9102",
			[]string{"Authorization", "Bearer sk-master-key"}, 200},
		"without the master key":               {keyed, "GET", "/model/info", "127.0.0.1:9102", nil, 401},
		"Prometheus":                           {open, "GET", "/metrics", "isthmus.llm.svc.cluster.local:9102", nil, 200},
		"a probe":                              {open, "GET", "/health/readiness", "10.0.0.1:9102", nil, 200},
		"a probe by name":                      {open, "GET", "/health/liveness", "isthmus.llm.svc", nil, 200},
		"the page itself, which holds no data": {open, "GET", "/", "evil.example", nil, 200},
		"a foreign page with a key it has read": {keyed, "POST", "/cache/flushall", "127.0.0.1:9102", []string{"Origin", "http://evil.example",
			"Authorization", "Bearer sk-master-key"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, tc.path, nil)
			r.Host = tc.host
			for i := 0; i+1 < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			w := httptest.NewRecorder()
			NewHandler(tc.port.runtime, metrics).ServeHTTP(w, r)
			if w.Code != tc.status {
				t.Errorf("status %d, want %d: %.200s", w.Code, tc.status, w.Body)
			}
		})
	}
}

func TestReadinessFollowsTheDrainAndTheEnvoy(t *testing.T) {
	p := newPort(t, openModel)
	ready := func(code int, text string) {
		t.Helper()
		if got, body := p.get("/health/readiness", ""); got != code || !strings.Contains(body, text) {
			t.Errorf("%d %s, want %d %s", got, body, code, text)
		}
	}
	ready(200, "healthy")
	p.runtime.EnvoyDown()
	ready(503, "restarting Envoy")
	p.runtime.EnvoyUp()
	ready(200, "healthy")
	p.runtime.Drain()
	ready(503, "draining")
	if code, _ := p.get("/health/liveness", ""); code != 200 {
		t.Errorf("alive: %d", code)
	}
}

// TestHealthTellsOfTheConfigurationAndTheEnvoy that this process runs.
func TestHealthTellsOfTheConfigurationAndTheEnvoy(t *testing.T) {
	p := newPort(t, openModel)
	_, before := p.get("/health", "")
	if !strings.Contains(before, `"loaded_at":"`+time.Now().UTC().Format("2006-")) || strings.Contains(before, "refused_at") ||
		strings.Contains(before, `"envoy"`) {
		t.Errorf("at first: %s", before)
	}
	p.runtime.Reloaded(http.ErrAbortHandler)
	p.runtime.EnvoyDown()
	if _, after := p.get("/health", ""); !strings.Contains(after, `"refused_at":"`) ||
		!strings.Contains(after, `"envoy":{"restarts":1,"down_since":"`) {
		t.Errorf("later: %s", after)
	}
}
