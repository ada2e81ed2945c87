package config_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

func TestWhatMayStandInTwoPlacesMeansTheSameInBoth(t *testing.T) {
	const members = "base_model: gpt-4o, order: 3, cooldown_time: 7, allowed_fails: 2, " +
		"allowed_fails_policy: {RateLimitErrorAllowedFails: 4}, input_cost_per_token: 0.5, output_cost_per_token: 2, rpm: 9, itpm: 11"
	for name, text := range map[string]string{
		"litellm_params": "litellm_params: {model: ollama/m, " + members + "}",
		"model_info":     "litellm_params: {model: ollama/m}\n  model_info: {" + members + "}",
		"both, of which litellm_params hold": "litellm_params: {model: ollama/m, " + members + "}\n" +
			"  model_info: {base_model: x, order: 9, cooldown_time: 9, allowed_fails: 9, input_cost_per_token: 9, output_cost_per_token: 9, " +
			"allowed_fails_policy: {TimeoutErrorAllowedFails: 1}, rpm: 1, itpm: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			c, notes, err := config.Parse("c.yaml", []byte("model_list:\n- model_name: m\n  "+text+"\n"), config.Options{Lookup: environ(nil)})
			if err != nil || len(notes) > 0 {
				t.Fatal(err, notes)
			}
			d := c.Deployments[0]
			if d.BaseModel != "gpt-4o" || d.Order != 3 || *d.CooldownTime != 7*time.Second || *d.AllowedFails != 2 ||
				d.AllowedFailsPolicy["RateLimit"] != 4 || d.InputCost != 0.5 || d.OutputCost != 2 ||
				!d.Priced || d.RPM != 9 || d.ITPM != 11 || len(d.Defaults) > 0 {
				t.Errorf("deployment %+v", d)
			}
		})
	}
}

func TestModelGroupsAndCallersHaveTheSameKindsOfLimits(t *testing.T) {
	const limits = "{rpm: 1, tpm: 2, itpm: 3, otpm: 4, max_parallel_requests: 5}"
	text := "model_list:\n- model_name: m*\n  litellm_params: {model: ollama/m}\n" +
		"general_settings: {tenant_limits: " + limits + ", model_group_limits: {'m*': " + limits + "}}\n"
	c, notes, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil)})
	if err != nil || len(notes) > 0 {
		t.Fatal(err, notes)
	}
	want := config.SharedLimit{RPM: 1, TPM: 2, ITPM: 3, OTPM: 4, MaxParallel: 5}
	if c.Limits.Tenant != want || c.Router.GroupLimits["m*"] != want {
		t.Errorf("of callers %+v, of groups %+v", c.Limits.Tenant, c.Router.GroupLimits)
	}
}

func TestAPortThatKubernetesSetsIsNoPort(t *testing.T) {
	text := oneModel + "general_settings: {cache: true, cache_params: {type: redis}}\n"
	vars := map[string]string{"REDIS_HOST": "redis", "REDIS_PORT": "tcp://10.96.0.7:6379"}
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars)})
	if err != nil {
		t.Fatal(err)
	}
	if c.Redis.Host != "redis" || c.Redis.Port != 6379 {
		t.Errorf("redis %+v", c.Redis)
	}
}

func TestTheEnvironmentCompletesWhatTheFileSaysOfRedis(t *testing.T) {
	vars := map[string]string{"REDIS_HOST": "h", "REDIS_PORT": "1", "REDIS_PASSWORD": "env", "REDIS_SSL_CA_CERTS": "/env.pem",
		"REDIS_SSL_CERTFILE": "/env-c.pem", "REDIS_SSL_KEYFILE": "/env-k.pem"}
	for name, tc := range map[string]struct {
		params string
		want   config.Redis
	}{
		"the environment alone": {"", config.Redis{Host: "h", Port: 1, Password: secret.New("env"), CAFile: "/env.pem", CertFile: "/env-c.pem",
			KeyFile: "/env-k.pem"}},
		"the file says how to encrypt": {", ssl: true, ssl_ca_certs: /file.pem, ssl_certfile: c, ssl_keyfile: k",
			config.Redis{Host: "h", Port: 1, Password: secret.New("env"), TLS: true, CAFile: "/file.pem", CertFile: "c", KeyFile: "k"}},
		"the file says who asks, and where in it": {", port: 2, username: u, password: file, db: 3",
			config.Redis{Host: "h", Port: 2, Username: "u", Password: secret.New("file"), CAFile: "/env.pem", CertFile: "/env-c.pem",
				KeyFile: "/env-k.pem", DB: 3}},
		"a Redis of the file gets nothing from the environment": {", host: other", config.Redis{Host: "other", Port: 6379}},
	} {
		t.Run(name, func(t *testing.T) {
			text := oneModel + "general_settings: {cache: true, cache_params: {type: redis" + tc.params + "}}\n"
			c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars)})
			if err != nil {
				t.Fatal(err)
			}
			got := c.Redis
			if got.Password.Reveal() != tc.want.Password.Reveal() {
				t.Errorf("password %q", got.Password.Reveal())
			}
			got.Password, tc.want.Password = secret.Text{}, secret.Text{}
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tc.want) {
				t.Errorf("redis %+v, want %+v", got, tc.want)
			}
		})
	}
}
