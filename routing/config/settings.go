package config

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/isthmus-proxy/isthmus/translate/litellm"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

func defaults() *Config {
	return &Config{
		MaxRequestBody: 100 << 20,
		StreamUsage:    true,
		RedisTimeout:   100 * time.Millisecond,
		Router: Router{
			Strategy: "simple-shuffle", NumRetries: 2, StreamFailover: true, Timeout: 600 * time.Second, AllowedFails: 3,
			FailureWindow: 60 * time.Second, CooldownTime: 5 * time.Second, MaxFallbacks: 5, RetryBudgetShare: 0.2, RetryBudgetFloor: 20,
			TagFilteringAny: true,
			Fallbacks:       map[string][]Target{}, ContextWindowFallback: map[string][]string{}, ContentPolicyFallback: map[string][]string{},
			RetryPolicy: map[string]int{}, GroupRetryPolicy: map[string]map[string]int{}, GroupLimits: map[string]SharedLimit{},
			StrategyArguments: map[string]float64{},
		},
		Limits:    Limits{QueueMaxSize: 1000, QueueTimeout: 30 * time.Second},
		Cache:     Cache{Type: "local", MaxEntrySize: 1 << 20, MaxSize: 256 << 20},
		Callbacks: Callbacks{Langfuse: Langfuse{Host: "https://cloud.langfuse.com"}, Webhook: Webhook{Format: "json_array"}},
	}
}

// setter reads one setting into the Config.
type setter func(*Config, value)

// settingTable is every setting, whichever section it stands in.
func settingTable() map[string]setter {
	table := map[string]setter{
		"master_key":             func(c *Config, v value) { v.masterKey(&c.MasterKey) },
		"cors_allow_origins":     func(c *Config, v value) { v.origins(&c.Origins) },
		"max_request_body_bytes": func(c *Config, v value) { v.bodySize(&c.MaxRequestBody, 1) },
		"max_request_size_mb":    func(c *Config, v value) { v.bodySize(&c.MaxRequestBody, 1<<20) },
		"drop_params":            func(c *Config, v value) { v.boolean(&c.DropParams) },
		"stream_usage":           func(c *Config, v value) { v.boolean(&c.StreamUsage) },
		"set_verbose":            func(c *Config, v value) { v.boolean(&c.Verbose) },
		"json_logs":              func(c *Config, v value) { v.boolean(&c.JSONLogs) },
		"max_parallel_requests":  func(c *Config, v value) { v.integer(&c.Limits.MaxParallelRequests, 0) },
		// LiteLLM's max_parallel_requests is of each key, this one of the proxy.
		"global_max_parallel_requests": func(c *Config, v value) { v.integer(&c.Limits.MaxParallelRequests, 0) },

		"enable_request_queue": func(c *Config, v value) { v.boolean(&c.Limits.QueueEnabled) },
		"queue_max_size":       func(c *Config, v value) { v.integer(&c.Limits.QueueMaxSize, 1) },
		"queue_timeout":        func(c *Config, v value) { v.positiveSeconds(&c.Limits.QueueTimeout, noQueue) },
		"tenant_header":        func(c *Config, v value) { v.headerName(&c.Limits.TenantHeader) },
		"tenant_limits":        func(c *Config, v value) { v.sharedLimit(&c.Limits.Tenant) },
	}
	for _, part := range []map[string]setter{routerTable(), cacheTable(), callbackTable(), credentialTable()} {
		for name, set := range part {
			table[name] = set
		}
	}
	return table
}

// maxBody bounds the size of a request body, in bytes. Envoy and the service hold
// each in memory, and an old Envoy's gRPC message, of 4 GiB at most, has twice the
// room.
const maxBody = 1 << 30

// bodySize reads the size of the largest request body; a unit is so many bytes.
func (v value) bodySize(into *int64, unit float64) {
	f, ok := v.number(0, unit == 1)
	if !ok {
		return
	}
	if size := f * unit; size < 1 || size > maxBody {
		v.fail("want a size from one byte to 1 GiB, got %s", v.shown())
		return
	}
	*into = int64(f * unit)
}

// noQueue is what to say instead of a time of 0.
const noQueue = "to let nobody wait, set enable_request_queue: false"

// settings applies the sections, the strongest last.
func (r *reader) settings(c *Config, bySection map[string][]value) {
	table := settingTable()
	names := make([]string, 0, len(table))
	for name := range table {
		names = append(names, name)
	}
	names = append(names, litellm.Restricting(litellm.Settings)...)
	slices.Sort(names)
	set := map[string]value{}
	for _, section := range sections() {
		for _, s := range bySection[section] {
			for _, f := range s.fields() {
				apply, ok := table[f.name]
				switch {
				case ok && f.unset():
				case ok:
					if earlier, twice := set[f.name]; twice && !strings.HasPrefix(earlier.key, section+".") {
						earlier.say(Notice, "%s in line %d wins over this one", f.key, f.node.Line)
					}
					set[f.name] = f
					apply(c, f)
				case f.misspeltRestriction(), f.answer(litellm.Settings):
				default:
					f.unknown(names)
				}
			}
		}
	}
}

// settingVariables are the variables of the environment that stand for settings;
// of two for one setting the later wins.
func settingVariables() [][2]string {
	return [][2]string{
		{"LITELLM_MASTER_KEY", "master_key"}, {"LITELLM_NUM_RETRIES", "num_retries"}, {"LITELLM_REQUEST_TIMEOUT", "request_timeout"},
		{"LITELLM_VERBOSE", "set_verbose"}, {"LITELLM_CORS_ORIGINS", "cors_allow_origins"}, {"JSON_LOGS", "json_logs"},
		{"LANGFUSE_PUBLIC_KEY", "langfuse_public_key"}, {"LANGFUSE_SECRET_KEY", "langfuse_secret_key"},
		{"LANGFUSE_BASE_URL", "langfuse_host"}, {"LANGFUSE_HOST", "langfuse_host"},
		{"MLFLOW_TRACKING_URI", "mlflow_tracking_uri"}, {"MLFLOW_EXPERIMENT_NAME", "mlflow_experiment_name"},
		{"MLFLOW_TRACKING_USERNAME", "mlflow_tracking_username"}, {"MLFLOW_TRACKING_PASSWORD", "mlflow_tracking_password"},
		{"MLFLOW_TRACKING_TOKEN", "mlflow_tracking_token"},
		{"GENERIC_LOGGER_ENDPOINT", "webhook_url"}, {"GENERIC_LOGGER_HEADERS", "webhook_headers"},
		{"REDIS_URL", "redis_url"}, {"REDIS_HOST", "redis_host"},
		{"REDIS_PORT", "redis_port"}, {"REDIS_PASSWORD", "redis_password"}, {"REDIS_USERNAME", "redis_username"},
		{"REDIS_SSL", "redis_ssl"}, {"REDIS_SSL_CA_CERTS", "redis_ssl_ca_certs"}, {"REDIS_SSL_CERT_REQS", "redis_ssl_cert_reqs"},
		{"REDIS_SSL_CERTFILE", "redis_ssl_certfile"}, {"REDIS_SSL_KEYFILE", "redis_ssl_keyfile"},
	}
}

// fromEnvironment reads the variables that stand for settings; the file wins.
func (c *Config) fromEnvironment(env *environment) {
	r := &reader{env: env, redactor: secret.NewRedactor()}
	table := settingTable()
	for _, pair := range settingVariables() {
		if text, ok := env.get(pair[0]); ok && !ofService(pair[0], text) {
			table[pair[1]](c, value{r: r, key: "$" + pair[0], name: pair[1], node: scalarNode(text)})
		}
	}
	switch level, _ := env.get("LITELLM_LOG"); strings.ToLower(level) {
	case "debug":
		c.Verbose = true
	case "warning", "warn":
		c.LogLevel = slog.LevelWarn
	case "error", "critical":
		c.LogLevel = slog.LevelError
	}
	// A Redis that only the environment names is used when the file asks for
	// one: REDIS_HOST is set on many machines for other programs.
	c.envRedis, c.Redis = c.Redis, Redis{}
	c.envProblems = r.diagnostics
}

// ofService reports whether Kubernetes has set the variable: in a pod beside a
// Service named redis, REDIS_PORT is tcp://ADDRESS:PORT.
func ofService(name, text string) bool {
	return name == "REDIS_PORT" && strings.HasPrefix(text, "tcp://")
}
