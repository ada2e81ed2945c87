package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// environ answers for variables from a map.
func environ(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// guideVars are all variables that the guide's blocks name.
func guideVars() map[string]string {
	return map[string]string{
		"API_KEY_VAR": "k", "OPENAI_API_KEY": "sk-o", "OPENAI_API_KEY_1": "sk-1", "OPENAI_API_KEY_2": "sk-2",
		"OPENAI_KEY_1": "sk-k1", "OPENAI_KEY_2": "sk-k2", "OPENAI_KEY_3": "sk-k3", "AZURE_OPENAI_KEY": "az",
		"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com/", "GOOGLE_API_KEY": "AIza", "ANTHROPIC_API_KEY": "sk-ant",
		"CUSTOM_API_KEY": "custom", "REDIS_HOST": "redis.test", "REDIS_PORT": "6380", "LANGFUSE_PUBLIC_KEY": "pk",
		"LANGFUSE_SECRET_KEY": "sk-lf", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
	}
}

// guide loads a block of the guide as a user would: a fragment that is a list
// goes under model_list, settings alone get a model.
func guide(t *testing.T, name string, vars map[string]string) (*config.Config, config.Diagnostics) {
	t.Helper()
	block, err := os.ReadFile(filepath.Join("testdata", "guide", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(block)
	switch {
	case strings.HasPrefix(text, "- "):
		text = "model_list:\n" + text
	case !strings.Contains(text, "model_list:"):
		text = "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n" + text
	}
	c, notes, err := config.Parse(name, []byte(text), config.Options{Lookup: environ(vars), Strict: true})
	if err != nil {
		t.Fatalf("%s does not load:\n%v", name, err)
	}
	for _, n := range notes {
		if n.Severity == config.Warning {
			t.Errorf("%s warns: %s", name, n)
		}
	}
	return c, notes
}

func TestEveryBlockOfTheGuideLoadsAsWritten(t *testing.T) {
	names, err := filepath.Glob("testdata/guide/*.yaml")
	if err != nil || len(names) != 18 {
		t.Fatalf("found %d blocks (%v), want 18", len(names), err)
	}
	for _, path := range names {
		t.Run(filepath.Base(path), func(t *testing.T) { guide(t, filepath.Base(path), guideVars()) })
	}
}

func TestGuideModelsMeanWhatTheirCommentsSay(t *testing.T) {
	type brief struct {
		Name, Provider, Model, Key, Base string
		RPM, TPM                         int64
	}
	list := func(c *config.Config) (out []brief) {
		for _, d := range c.Deployments {
			out = append(out, brief{d.ModelName, d.Provider, d.Model, d.APIKey.Reveal(), d.APIBase, d.RPM, d.TPM})
		}
		return out
	}
	const openAI = "https://api.openai.com/v1"
	for name, want := range map[string][]brief{
		"01-basic.yaml": {{"nome-do-modelo", "custom_openai", "modelo-real", "k", "http://custom-url", 0, 0}},
		"02-many-deployments.yaml": {
			{"gpt-4o", "openai", "gpt-4o", "sk-1", openAI, 500, 0},
			{"gpt-4o", "openai", "gpt-4o", "sk-2", openAI, 300, 0},
			{"gpt-4o", "azure", "gpt-4o", "az", "https://res.openai.azure.com", 0, 0},
		},
		"03-gemini.yaml": {{"gemini-2.0-flash", "gemini", "gemini-2.0-flash", "AIza", "https://generativelanguage.googleapis.com/v1beta", 0,
			0}},
		"04-azure.yaml":     {{"gpt-4o", "azure", "gpt-4o-deployment", "az", "https://res.openai.azure.com", 0, 0}},
		"05-anthropic.yaml": {{"claude-3-opus", "anthropic", "claude-3-opus-20240229", "sk-ant", "https://api.anthropic.com", 0, 0}},
		"06-ollama.yaml":    {{"llama2-local", "ollama", "llama2", "", "http://localhost:11434", 0, 0}},
		"14-rate-limits-per-model.yaml": {
			{"gpt-4o", "openai", "gpt-4o", "sk-o", openAI, 500, 90000},
			{"gemini-2.0-flash", "gemini", "gemini-2.0-flash", "AIza", "https://generativelanguage.googleapis.com/v1beta", 1000, 4000000},
		},
		"16-custom-provider.yaml": {{"my-custom-model", "openai", "text-davinci-003", "custom", "https://meu-servidor.com/v1", 0, 0}},
		"17-local-vllm.yaml":      {{"local-llama", "openai", "llama-2-7b", "", "http://localhost:8000/v1", 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := guide(t, name, guideVars())
			if diff := cmp.Diff(want, list(c)); diff != "" {
				t.Errorf("deployments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGuideParametersAndHeadersReachTheProvider(t *testing.T) {
	basic, _ := guide(t, "01-basic.yaml", guideVars())
	var got []string
	for _, p := range basic.Deployments[0].Defaults {
		got = append(got, p.Name+"="+string(p.Value))
	}
	if diff := cmp.Diff([]string{"temperature=0.7", "max_tokens=2048"}, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	gemini, _ := guide(t, "03-gemini.yaml", guideVars())
	want := `[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_ONLY_HIGH"}]`
	if p := gemini.Deployments[0].Defaults; len(p) != 1 || p[0].Name != "safety_settings" || string(p[0].Value) != want {
		t.Errorf("safety_settings = %v", p)
	}
	custom, _ := guide(t, "16-custom-provider.yaml", guideVars())
	if h := custom.Deployments[0].Headers; len(h) != 1 || h[0].Name != "X-Custom-Header" || h[0].Value.Reveal() != "value" {
		t.Errorf("headers = %v", h)
	}
	azure, _ := guide(t, "04-azure.yaml", guideVars())
	if v := azure.Deployments[0].APIVersion; v != "2024-02-15-preview" {
		t.Errorf("api_version = %q", v)
	}
}

func TestGuideRoutingMeansWhatItsCommentsSay(t *testing.T) {
	balance, notes := guide(t, "07-load-balancing.yaml", guideVars())
	r := balance.Router
	if r.Strategy != "least-busy" || r.NumRetries != 3 || r.Timeout != 30*time.Second {
		t.Errorf("router = %s %d %v", r.Strategy, r.NumRetries, r.Timeout)
	}
	if diff := cmp.Diff([]config.Target{{Model: "gpt-4o-mini"}}, r.DefaultFallbacks); diff != "" {
		t.Errorf("fallback_models (-want +got):\n%s", diff)
	}
	if len(notes) != 1 || !strings.Contains(notes[0].Message, "gpt-4o-mini") {
		t.Errorf("notes = %v, want one that names gpt-4o-mini", notes)
	}

	cascade, _ := guide(t, "08-fallback-cascade.yaml", guideVars())
	r = cascade.Router
	want := []config.Alias{{Name: "my-model", Targets: []config.Target{
		{Group: "my-model", Model: "gpt-4o"}, {Group: "my-model", Model: "gpt-4-turbo"}, {Group: "my-model", Model: "gpt-3.5-turbo"},
	}}}
	if diff := cmp.Diff(want, r.Aliases); diff != "" {
		t.Errorf("cascade (-want +got):\n%s", diff)
	}
	if r.RetryAfter != 5*time.Second || r.AllowedFails != 3 || r.CooldownTime != time.Minute || r.Timeout != time.Minute {
		t.Errorf("reliability = %v %d %v %v", r.RetryAfter, r.AllowedFails, r.CooldownTime, r.Timeout)
	}

	production, _ := guide(t, "18-production.yaml", guideVars())
	r = production.Router
	want = []config.Alias{{Name: "primary", Targets: []config.Target{{Group: "gemini-2.0-flash"}, {Group: "gpt-4o"}, {Group: "llama2-local"}}}}
	if diff := cmp.Diff(want, r.Aliases); diff != "" {
		t.Errorf("primary (-want +got):\n%s", diff)
	}
	if r.Strategy != "least-busy" || r.NumRetries != 3 || r.RetryAfter != 5*time.Second || r.Timeout != 30*time.Second ||
		r.RequestTimeout != 10*time.Minute {
		t.Errorf("production router = %+v", r)
	}
	if production.Limits.MaxParallelRequests != 50 || production.Verbose {
		t.Errorf("limits = %+v, verbose = %v", production.Limits, production.Verbose)
	}
}

func TestGuideCacheAndSinksMeanWhatTheirCommentsSay(t *testing.T) {
	redis, _ := guide(t, "09-cache-redis.yaml", guideVars())
	if diff := cmp.Diff(config.Cache{Enabled: true, Type: "redis", TTL: time.Hour, Namespace: "litellm_cache", MaxEntrySize: 1 << 20,
		MaxSize: 256 << 20}, redis.Cache); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
	if r := redis.Redis; r.Host != "redis.test" || r.Port != 6380 || !r.Password.IsZero() {
		t.Errorf("redis = %+v", r)
	}
	local, _ := guide(t, "10-cache-local.yaml", guideVars())
	if c := local.Cache; !c.Enabled || c.Type != "local" || c.TTL != 10*time.Minute {
		t.Errorf("local cache = %+v", c)
	}
	langfuse, _ := guide(t, "11-langfuse.yaml", guideVars())
	if c := langfuse.Callbacks; c.Langfuse.PublicKey != "pk" || c.Langfuse.SecretKey.Reveal() != "sk-lf" ||
		c.Langfuse.Host != "https://cloud.langfuse.com" ||
		len(c.Success) != 1 || len(c.Failure) != 1 {
		t.Errorf("langfuse = %+v", c)
	}
	mlflow, _ := guide(t, "12-mlflow.yaml", guideVars())
	if c := mlflow.Callbacks; c.MLflow != (config.MLflow{TrackingURI: "http://127.0.0.1:5000", ExperimentName: "litellm-production"}) {
		t.Errorf("mlflow = %+v", c.MLflow)
	}
	webhook, _ := guide(t, "13-webhook-verbose.yaml", guideVars())
	if c := webhook.Callbacks; !webhook.Verbose || c.Webhook.URL != "https://seu-webhook.com/litellm-logs" || c.Success[0] != "webhook" {
		t.Errorf("webhook = %+v", c)
	}
	limits, _ := guide(t, "15-rate-limits-global.yaml", guideVars())
	if l := limits.Limits; l.MaxParallelRequests != 100 || !l.QueueEnabled || l.QueueMaxSize != 1000 {
		t.Errorf("limits = %+v", l)
	}
}

func TestGuideEnvFileGivesDefaults(t *testing.T) {
	text := "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\ngeneral_settings: {cache: true, cache_params: {type: redis}}\n"
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{EnvFile: "testdata/guide/19-env.env",
		Lookup: environ(map[string]string{"LITELLM_NUM_RETRIES": "7"})})
	if err != nil {
		t.Fatal(err)
	}
	if c.Router.NumRetries != 7 || c.Router.RequestTimeout != 10*time.Minute || c.Redis.Host != "localhost" || c.Redis.Port != 6379 {
		t.Errorf("retries %d (the environment wins over .env), timeout %v, redis %+v", c.Router.NumRetries, c.Router.RequestTimeout, c.Redis)
	}
}
