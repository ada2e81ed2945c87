package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// parse loads a text that nothing is wrong with.
func parse(t *testing.T, text string, vars map[string]string) *config.Config {
	t.Helper()
	c, notes, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars)})
	if err != nil || len(notes) > 0 {
		t.Fatalf("error %v, notes %v", err, notes)
	}
	return c
}

// groups are three model groups that settings may name.
const groups = "model_list:\n- {model_name: a, litellm_params: {model: ollama/a}}\n- {model_name: b, litellm_params: {model: " +
	"ollama/b}}\n- {model_name: c, litellm_params: {model: ollama/c}}\n"

func TestSettingsMeanWhatLiteLLMMeansByThem(t *testing.T) {
	for name, tc := range map[string]struct {
		setting string
		got     func(*config.Config) any
		want    any
	}{
		"cooldowns switched off": {"disable_cooldowns: true", func(c *config.Config) any { return c.Router.CooldownTime },
			time.Duration(0)},
		"cooldowns not switched off": {"disable_cooldowns: false", func(c *config.Config) any { return c.Router.CooldownTime },
			5 * time.Second},
		"a budget in percent": {"retry_budget_percent: 5", func(c *config.Config) any { return c.Router.RetryBudgetShare }, 0.05},
		"arguments of a strategy": {"routing_strategy_args: {ttl: 10, lowest_latency_buffer: 0.5}",
			func(c *config.Config) any { return c.Router.StrategyArguments }, map[string]float64{"ttl": 10, "lowest_latency_buffer": 0.5}},
		"LiteLLM's name of a strategy": {"routing_strategy: usage-based-routing-v2", func(c *config.Config) any { return c.Router.Strategy },
			"usage-based"},
		"a header of callers": {"tenant_header: X-Team", func(c *config.Config) any { return c.Limits.TenantHeader }, "x-team"},
		"a size in megabytes": {"max_request_size_mb: 0.5", func(c *config.Config) any { return c.MaxRequestBody }, int64(512 << 10)},
		"fallbacks of a full context": {"context_window_fallbacks: [{a: [b, c]}, {b: c}]",
			func(c *config.Config) any { return c.Router.ContextWindowFallback }, map[string][]string{"a": {"b", "c"}, "b": {"c"}}},
		"fallbacks of refused content": {"content_policy_fallbacks: {'*': [c]}",
			func(c *config.Config) any { return c.Router.ContentPolicyFallback }, map[string][]string{"*": {"c"}}},
		"a cascade and a default": {"fallbacks: [{a: [b]}, {'*': [c]}]",
			func(c *config.Config) any {
				return [2]any{c.Router.Fallbacks,
					c.Router.DefaultFallbacks}
			}, [2]any{map[string][]config.Target{"a": {{Group: "b"}}}, []config.Target{{Group: "c"}}}},
		"an alias that is hidden": {"model_group_alias: {fast: {model: [a, b], hidden: true}}",
			func(c *config.Config) any { return c.Router.Aliases }, []config.Alias{{Name: "fast", Hidden: true,
				Targets: []config.Target{{Group: "a"}, {Group: "b"}}}}},
		"a cache that is asked for":     {"cache_params: {mode: default_off}", func(c *config.Config) any { return c.Cache.OptIn }, true},
		"a cache that is not asked for": {"cache_params: {mode: default_on}", func(c *config.Config) any { return c.Cache.OptIn }, false},
		"calls that are cached": {"cache_params: {supported_call_types: [acompletion, aembedding]}",
			func(c *config.Config) any { return c.Cache.CallTypes }, []string{"acompletion", "aembedding"}},
		"a cluster's nodes": {"cache_params: {redis_startup_nodes: [{host: h, port: 7000}, 'i:7001']}",
			func(c *config.Config) any { return c.Redis.ClusterNodes }, []string{"h:7000", "i:7001"}},
		"nodes by number": {"cache_params: {redis_startup_nodes: ['[::1]:7000', {host: '::1', port: 7001}]}",
			func(c *config.Config) any { return c.Redis.ClusterNodes }, []string{"[::1]:7000", "[::1]:7001"}},
		"a certificate of our own": {"redis_ssl_certfile: c.pem\n  redis_ssl_keyfile: k.pem",
			func(c *config.Config) any { return [2]any{c.Redis.CertFile, c.Redis.KeyFile} }, [2]any{"c.pem", "k.pem"}},
		"a database of the Redis": {"redis_db: 3", func(c *config.Config) any { return c.Redis.DB }, 3},
		"sentinels": {"cache_params: {service_name: main, sentinel_nodes: [[h, 26379], [i, 26380]]}",
			func(c *config.Config) any { return [2]any{c.Redis.SentinelName, c.Redis.SentinelNodes} }, [2]any{"main",
				[]string{"h:26379", "i:26380"}}},
		"a webhook's form": {"webhook_format: ndjson", func(c *config.Config) any { return c.Callbacks.Webhook.Format }, "ndjson"},
		"a sink's address without http": {"langfuse_host: lf.example/", func(c *config.Config) any { return c.Callbacks.Langfuse.Host },
			"https://lf.example"},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.got(parse(t, groups+"litellm_settings:\n  "+tc.setting+"\n", nil))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", tc.setting, diff)
			}
		})
	}
}

// pairs are headers as text, which cmp may show.
func pairs(headers []upstream.ExtraHeader) (out []string) {
	for _, h := range headers {
		out = append(out, h.Name+"="+h.Value.Reveal())
	}
	return out
}

func TestAWebhooksHeadersMayBeAMappingOrAList(t *testing.T) {
	want := []string{"X-A=1", "Authorization=Bearer a=b"}
	for name, tc := range map[string]struct {
		setting string
		vars    map[string]string
	}{
		"a mapping":              {setting: "litellm_settings: {webhook_headers: {X-A: '1', Authorization: Bearer a=b}}\n"},
		"a list":                 {setting: "litellm_settings: {webhook_headers: 'X-A=1, Authorization=Bearer a=b'}\n"},
		"a list of the variable": {vars: map[string]string{"GENERIC_LOGGER_HEADERS": "X-A=1,Authorization=Bearer a=b"}},
		"the file beats variable": {"litellm_settings: {webhook_headers: 'X-A=1,Authorization=Bearer a=b'}\n",
			map[string]string{"GENERIC_LOGGER_HEADERS": "X-B=2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, pairs(parse(t, oneModel+tc.setting, tc.vars).Callbacks.Webhook.Headers)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestVariablesComeFromTheProcessThenTheEnvFileThenTheConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("c.yaml", "include: [more.yaml]\nenvironment_variables: {IN_ALL: config, IN_CONFIG: config}\n")
	write("more.yaml", "model_list:\n"+
		"- {model_name: all, litellm_params: {model: openai/m, api_key: os.environ/IN_ALL}}\n"+
		"- {model_name: dotenv, litellm_params: {model: openai/m, api_key: os.environ/IN_DOTENV}}\n"+
		"- {model_name: config, litellm_params: {model: openai/m, api_key: os.environ/IN_CONFIG}}\n")
	write(".env", "# comment\nexport IN_ALL=dotenv\r\nIN_DOTENV=\"a # b\" # comment\n")
	c, notes, err := config.Load(config.Options{Path: path, Lookup: environ(map[string]string{"IN_ALL": "process"}), Strict: true})
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	got := map[string]string{}
	for _, d := range c.Deployments {
		got[d.ModelName] = d.APIKey.Reveal()
	}
	if diff := cmp.Diff(map[string]string{"all": "process", "dotenv": "a # b", "config": "config"}, got); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.yaml", oneModel)
	for name, tc := range map[string]struct {
		options config.Options
		want    string
	}{
		"no config": {config.Options{Path: filepath.Join(dir, "no.yaml")},
			"read the model config: open " + filepath.Join(dir, "no.yaml")},
		"an include that is not": {config.Options{Path: write("in.yaml", "include: [no.yaml]\n")},
			"in.yaml:1: include[0]: cannot include: open " + filepath.Join(dir, "no.yaml")},
		"an include of itself": {config.Options{Path: write("self.yaml", "include: self.yaml\n")}, "self.yaml includes itself"},
		"an env file that is not": {config.Options{Path: good, EnvFile: filepath.Join(dir, "no.env")},
			"read the env file: open " + filepath.Join(dir, "no.env")},
		"a line without a name":   {config.Options{Path: good, EnvFile: write("a.env", "A=1\ncanary\n")}, "a.env:2: want NAME=VALUE"},
		"a quote that stays open": {config.Options{Path: good, EnvFile: write("b.env", "A='canary\n")}, "b.env:1: A: the quote is not closed"},
		"text behind a quote": {config.Options{Path: good, EnvFile: write("c.env", "A='canary' b\n")},
			"c.env:1: A: text after the closing quote"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.options.Lookup = environ(nil)
			_, _, err := config.Load(tc.options)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("error:\n%v\nwant …%s…, and no value of the file", err, tc.want)
			}
		})
	}
}
