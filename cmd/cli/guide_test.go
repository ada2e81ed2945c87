package cli

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/store/storetest"
)

// block is a YAML block of the guide, as written.
func block(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "routing", "config", "testdata", "guide", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheGuidesRedisCacheDoesWhatItSays(t *testing.T) {
	server, p := storetest.Start(t), newProvider(t, openAI)
	host, port, _ := net.SplitHostPort(server.Addr)
	t.Setenv("REDIS_HOST", host)
	t.Setenv("REDIS_PORT", port)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+block(t, "09-cache-redis.yaml")+patientRedis)
	s.post("/v1/chat/completions", ask)
	c := newRedisClient(t, server.Addr)
	await(t, 20*time.Second, "the answer is stored for an hour under litellm_cache", func() bool {
		keys := c.Keys(t.Context(), "litellm_cache:*").Val()
		return len(keys) == 1 && c.TTL(t.Context(), keys[0]).Val() > 3500*time.Second
	})
	misses := 1 // a busy machine's Redis is not always read in the 100 ms that a look-up may take
	await(t, 20*time.Second, "the second is a hit", func() bool {
		if s.post("/v1/chat/completions", ask).header.Get("X-Isthmus-Cache") == "hit" {
			return true
		}
		misses++
		return false
	})
	if n := len(p.calls()); n != misses {
		t.Errorf("%d calls for %d misses", n, misses)
	}
	if got := s.post("/v1/chat/completions", with(`"cache":false`, ask)); got.header.Get("X-Isthmus-Cache") == "hit" || len(p.calls()) != misses+1 {
		t.Errorf("cache=False: %v", got.header)
	}
}

// patientRedis is a line of general_settings for a machine that may keep Redis from
// running for longer than it takes to count as gone.
const patientRedis = "  redis_timeout: 4\n"

func TestTheGuidesLocalCacheDoesWhatItSays(t *testing.T) {
	p := newProvider(t, openAI)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+block(t, "10-cache-local.yaml"))
	s.post("/v1/chat/completions", ask)
	if got := s.post("/v1/chat/completions", askStream); got.header.Get("X-Isthmus-Cache") != "hit" || len(p.calls()) != 1 {
		t.Errorf("the second: %v", got.header)
	}
}

func TestTheGuidesLimitsPerModelDoWhatTheySay(t *testing.T) {
	p := newProvider(t, priced(60000, 1000))
	t.Setenv("OPENAI_BASE_URL", p.base())
	t.Setenv("OPENAI_API_KEY", "sk-o")
	t.Setenv("GOOGLE_API_KEY", "AIza")
	s := startStack(t, block(t, "14-rate-limits-per-model.yaml"))
	first := s.post("/v1/chat/completions", named("gpt-4o", ask))
	if h := first.header; first.status != 200 || h.Get("X-Ratelimit-Limit-Requests") != "500" || h.Get("X-Ratelimit-Limit-Tokens") != "90000" {
		t.Errorf("%d %v", first.status, h)
	}
	s.settled(1)
	s.post("/v1/chat/completions", named("gpt-4o", ask)) // it may pass: what it will use is an estimate
	s.settled(2)
	if got := s.post("/v1/chat/completions", named("gpt-4o", ask)); got.status != 429 || len(p.calls()) > 2 {
		t.Errorf("after answers of 61000 tokens there is room in 90000: %d, %d calls", got.status, len(p.calls()))
	}
}

func TestTheGuidesGlobalLimitDoesWhatItSays(t *testing.T) {
	p := newGate(t)
	s := startStack(t, "model_list:\n"+entry("m", p.base(), "")+block(t, "15-rate-limits-global.yaml"))
	answers := make(chan *answer, 130)
	for range 130 {
		go func() { answers <- s.post("/v1/chat/completions", ask) }()
	}
	await(t, 20*time.Second, "all have come and 100 run", func() bool { return s.streams("request") == 130 && len(p.calls()) == 100 })
	p.pass(t, 130)
	for range 130 {
		if got := <-answers; got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	s.idle()
}

func TestTheGuidesProductionConfigServes(t *testing.T) {
	server, p := storetest.Start(t), newProvider(t, openAI)
	_, port, _ := net.SplitHostPort(server.Addr)
	gemini := newProvider(t, failWith(503))
	ollama := newProvider(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"model":"llama2","message":{"role":"assistant","content":"local"},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1}`)
	})
	t.Setenv("OPENAI_BASE_URL", p.base())
	t.Setenv("GEMINI_API_BASE", gemini.URL)
	t.Setenv("GOOGLE_API_KEY", "AIza")
	t.Setenv("OPENAI_API_KEY_1", "sk-1")
	t.Setenv("OPENAI_API_KEY_2", "sk-2")
	text := strings.NewReplacer("port: 6379", "port: "+port, "http://localhost:11434", ollama.URL, "host: localhost", "host: 127.0.0.1").Replace(block(t, "18-production.yaml"))
	s := startStack(t, strings.Replace(text, "  retry_after: 5\n", "  retry_after: 0\n"+patientRedis, 1))
	if got := s.post("/v1/chat/completions", named("llama2-local", ask)); got.status != 200 || !strings.Contains(got.body, "local") {
		t.Errorf("llama2-local: %d %s", got.status, got.body)
	}
	got := s.post("/v1/chat/completions", named("primary", ask))
	if got.status != 200 || got.header.Get("X-Isthmus-Model-Group") != "gpt-4o" || got.header.Get("X-Ratelimit-Limit-Requests") != "500" {
		t.Errorf("primary: %d %v %s", got.status, got.header, got.body)
	}
	s.post("/v1/chat/completions", named("gpt-4o", ask))
	await(t, 20*time.Second, "the second request is a hit", func() bool {
		return s.post("/v1/chat/completions", named("gpt-4o", ask)).header.Get("X-Isthmus-Cache") == "hit"
	})
}
