package routing

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

func TestTheGuidesProductionConfigServes(t *testing.T) {
	server, p := storetest.Start(t), gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	_, port, _ := net.SplitHostPort(server.Addr)
	gemini := gatewaytest.NewProvider(t, gatewaytest.FailWith(503))
	ollama := gatewaytest.NewProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"model":"llama2","message":{"role":"assistant","content":"local"},"done":true,"done_reason":"stop",`+
			`"prompt_eval_count":1,"eval_count":1}`)
	})
	t.Setenv("OPENAI_BASE_URL", p.Base())
	t.Setenv("GEMINI_API_BASE", gemini.URL)
	t.Setenv("GOOGLE_API_KEY", "AIza")
	t.Setenv("OPENAI_API_KEY_1", "sk-1")
	t.Setenv("OPENAI_API_KEY_2", "sk-2")
	text := strings.NewReplacer("port: 6379", "port: "+port, "http://localhost:11434", ollama.URL, "host: localhost", "host: 127.0.0.1").
		Replace(gatewaytest.GuideBlock(t, "18-production.yaml"))
	s := gatewaytest.Start(t, strings.Replace(text, "  retry_after: 5\n", "  retry_after: 0\n"+gatewaytest.PatientRedis, 1))
	got := s.Post("/v1/chat/completions", gatewaytest.ForModel("llama2-local", gatewaytest.Ask))
	if got.Status != 200 || !strings.Contains(got.Body, "local") {
		t.Errorf("llama2-local: %d %s", got.Status, got.Body)
	}
	got = s.Post("/v1/chat/completions", gatewaytest.ForModel("primary", gatewaytest.Ask))
	if got.Status != 200 || got.Header.Get("X-Isthmus-Model-Group") != "gpt-4o" || got.Header.Get("X-Ratelimit-Limit-Requests") != "500" {
		t.Errorf("primary: %d %v %s", got.Status, got.Header, got.Body)
	}
	s.Post("/v1/chat/completions", gatewaytest.ForModel("gpt-4o", gatewaytest.Ask))
	asynctest.Await(t, "the second request is a hit", func() bool {
		return s.Post("/v1/chat/completions", gatewaytest.ForModel("gpt-4o", gatewaytest.Ask)).Header.Get("X-Isthmus-Cache") == "hit"
	})
}
