package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

const oneModel = "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n"

const wildcardModel = "model_list:\n- model_name: up/*\n  litellm_params: {model: 'ollama/*'}\n"

// TestWhatIsWrongIsNamedWithItsPlaceAndARemedy lists configs that must be
// refused, and the whole first line a user reads.
func TestWhatIsWrongIsNamedWithItsPlaceAndARemedy(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"an empty file":     {"", "c.yaml:1: the file is empty: it needs a model_list"},
		"a list at the top": {"- a\n", "c.yaml:1: want a mapping with model_list at the top, got a list"},
		"no model_list": {"router_settings: {}\n",
			"c.yaml:1: there is no model_list: name at least one model, see examples/quickstart/config.yaml"},
		"an empty model_list": {"model_list: []\n", "model_list: the list is empty: name at least one model"},
		"a tab":               {"model_list:\n\t- a\n", "c.yaml:2: not valid YAML: found character that cannot start any token"},
		"an entry without a name": {"model_list:\n- litellm_params: {model: openai/a}\n",
			"c.yaml:2: model_list[0]: model_name is missing: the name that clients will ask for"},
		"an entry without a model": {"model_list:\n- model_name: m\n  litellm_params: {api_key: k}\n",
			"c.yaml:3: model_list[0].litellm_params: model is missing: say it as provider/model, for example openai/gpt-4o"},
		"a provider that is misspelt": {"model_list:\n- model_name: m\n  litellm_params: {model: opnai/gpt-4o}\n",
			`provider "opnai" is not known; did you mean openai?; for any OpenAI-compatible server give its api_base`},
		"a model without its provider": {"model_list:\n- model_name: m\n  litellm_params: {model: mixtral}\n",
			`"mixtral" does not say its provider: write provider/model, for example openai/mixtral`},
		"an api_base with a password": {"model_list:\n- model_name: m\n  litellm_params: {model: openai/a, api_base: " +
			"'https://u:canary@h/v1'}\n", "api_base holds a user name or password: give it as api_key or in headers"},
		"an api_base without a scheme": {"model_list:\n- model_name: m\n  litellm_params: {model: openai/a, api_base: 'host:8000/v1'}\n",
			"c.yaml:2: model_list[0]: api_base"},
		"an api_base with a query": {"model_list:\n- model_name: m\n  litellm_params: {model: openai/a, api_base: " +
			"'https://h/v1?key=canary'}\n", "api_base holds a query or fragment: want only https://host/path"},
		"Azure without an address": {"model_list:\n- model_name: m\n  litellm_params: {model: azure/a, api_key: k}\n",
			"azure needs an api_base (or $AZURE_API_BASE)"},
		"a strategy that does not exist": {oneModel + "router_settings:\n  routing_strategy: fastest\n",
			"c.yaml:5: router_settings.routing_strategy: "},
		"text where a number belongs": {oneModel + "router_settings:\n  num_retries: many\n",
			`c.yaml:5: router_settings.num_retries: want a whole number of at least 0, got "many"`},
		"a negative number of seconds": {oneModel + "router_settings:\n  timeout: -1\n", "c.yaml:5: router_settings.timeout: "},
		"an origin with a path": {oneModel + "general_settings:\n  cors_allow_origins: ['https://a.example/x']\n",
			`c.yaml:5: general_settings.cors_allow_origins[0]: want "*", or an origin as a browser sends it, ` +
				`such as https://chat.example.com, got "https://a.example/x"`},
		"an origin without a scheme": {oneModel + "general_settings:\n  cors_allow_origins: a.example\n",
			`cors_allow_origins: want "*", or an origin`},
		"an origin no browser sends": {oneModel + "general_settings:\n  cors_allow_origins: ['*', 'https://A.example:443']\n",
			`cors_allow_origins[1]: want "*", or an origin`},
		"a boolean that is none": {oneModel + "general_settings:\n  cache: perhaps\n",
			"c.yaml:5: general_settings.cache: want true or false"},
		"the namespace of limits": {oneModel + "general_settings:\n  cache_params: {namespace: isthmus}\n",
			"isthmus is the namespace of limits: want another one, such as isthmus-cache"},
		"a Redis that is waited for too long": {oneModel + "general_settings:\n  redis_timeout: 30\n",
			`c.yaml:5: general_settings.redis_timeout: want a number of seconds from 0.01 to 4, got "30"`},
		"a Redis that is not waited for": {oneModel + "general_settings:\n  redis_timeout: 0\n",
			`c.yaml:5: general_settings.redis_timeout: want a number of seconds from 0.01 to 4, got "0"`},
		"a cache that keeps nothing": {oneModel + "general_settings:\n  cache_params: {ttl: 0}\n",
			`c.yaml:5: general_settings.cache_params.ttl: want at least 0.001 seconds, got "0": to keep no answers, set cache: false`},
		"a Redis that keeps nothing": {oneModel + "general_settings:\n  cache_params: {default_in_redis_ttl: 0.0}\n",
			`general_settings.cache_params.default_in_redis_ttl: want at least 0.001 seconds, got "0.0": to keep no answers`},
		"a queue in which nobody waits": {oneModel + "general_settings:\n  queue_timeout: 0\n",
			`c.yaml:5: general_settings.queue_timeout: want at least 0.001 seconds, got "0": to let nobody wait, set enable_request_queue: false`},
		"a time that no clock can tell": {oneModel + "general_settings:\n  queue_timeout: 1e-12\n",
			`general_settings.queue_timeout: want at least 0.001 seconds, got "1e-12"`},
		"an odd check of certificates": {oneModel + "general_settings:\n  cache_params: {type: redis, ssl_cert_reqs: maybe}\n",
			`want required or none, got "maybe"`},
		"a body that may hold nothing": {oneModel + "general_settings:\n  max_request_size_mb: 0\n",
			`c.yaml:5: general_settings.max_request_size_mb: want a size from one byte to 1 GiB, got "0"`},
		"a body that no message can hold": {oneModel + "general_settings:\n  max_request_size_mb: 1e300\n",
			`want a size from one byte to 1 GiB, got "1e300"`},
		"a body of too many bytes": {oneModel + "general_settings:\n  max_request_body_bytes: 1073741825\n",
			"want a size from one byte to 1 GiB"},
		"a node without its port": {oneModel + "general_settings:\n  cache_params: {type: redis, redis_startup_nodes: [{host: h}]}\n",
			`c.yaml:5: general_settings.cache_params.redis_startup_nodes[0]: want a node's host and port, got "h:"`},
		"a node with a port that is none": {oneModel +
			"general_settings:\n  cache_params:\n    type: redis\n    redis_startup_nodes:\n    - {host: h, port: 7000}\n    - {host: i, port: " +
			"70000}\n", `c.yaml:9: general_settings.cache_params.redis_startup_nodes[1]: want a port from 1 to 65535, got "70000"`},
		"a node in words": {oneModel + "general_settings:\n  cache_params: {type: redis, redis_startup_nodes: ['h:redis']}\n",
			`redis_startup_nodes[0]: want a port from 1 to 65535, got "redis"`},
		"a sentinel at no port": {oneModel +
			"general_settings:\n  cache_params: {type: redis, service_name: m, sentinel_nodes: [[h, 0]]}\n",
			`sentinel_nodes[0]: want a port from 1 to 65535, got "0"`},
		"a node with too many parts": {oneModel + "general_settings:\n  cache_params: {type: redis, redis_startup_nodes: [[h, 1, 2]]}\n",
			`redis_startup_nodes[0]: want a node's host and port`},
		"a database that is none": {oneModel + "general_settings:\n  redis_db: first\n",
			`c.yaml:5: general_settings.redis_db: want a whole number of at least 0, got "first"`},
		"a form of records that is none": {oneModel + "litellm_settings:\n  webhook_format: xml\n",
			`want json_array, ndjson, single, got "xml"`},
		"a mode of the cache that is none": {oneModel + "litellm_settings:\n  cache_params: {mode: sometimes}\n",
			`want default_on or default_off, got "sometimes"`},
		"callers named by what is no header": {oneModel + "general_settings:\n  tenant_header: 'X Team'\n",
			`want the name of an HTTP header, got "X Team"`},
		"a port that is none": {oneModel + "general_settings:\n  cache_params: {type: redis, port: 70000}\n",
			"want a port from 1 to 65535"},
		"a Python class as callback": {oneModel + "general_settings:\n  callbacks: [my.module.logger]\n",
			"a logger runs as a program of its own with exec:COMMAND, see examples/custom-callback. To go on without it: --allow-unenforced " +
				"my.module.logger"},
		"an alias of a group that is not": {oneModel + "router_settings:\n  model_group_alias: {fast: n}\n", `there is no model group "n"`},
		"a fallback to a group that is not": {oneModel + "router_settings:\n  fallbacks: [{m: [mm]}]\n",
			`there is no model group "mm"; did you mean m? (there are: m)`},
		"an alias of a wildcard": {wildcardModel + "router_settings:\n  model_group_alias: {fast: 'up/*'}\n",
			`c.yaml:5: router_settings.model_group_alias.fast: "up/*" is no model: say which of those that it serves is meant`},
		"an alias of a wildcard that is not": {wildcardModel + "router_settings:\n  model_group_alias: {fast: 'up/a*'}\n",
			`there is no model group "up/a*"`},
		"a fallback to a wildcard of no name": {wildcardModel + "router_settings:\n  fallbacks: [{up/a: ['up/b*']}]\n",
			`there is no model group "up/b*"`},
		"a fallback of a wildcard of no name": {wildcardModel + "router_settings:\n  fallbacks: [{'up/b*': [up/a]}]\n",
			`there is no model group "up/b*"`},
		"a default fallback of no name": {wildcardModel + "router_settings:\n  default_fallbacks: ['down/*']\n",
			`there is no model group "down/*"`},
		"a fallback from a group that is not": {oneModel + "router_settings:\n  fallbacks: [{x: [m]}]\n", `there is no model group "x"`},
		"a key with a line break inside": {"model_list:\n- model_name: m\n  litellm_params: {model: openai/a, api_key: \"canary\\nX: y\"}\n",
			"c.yaml:3: model_list[0].litellm_params.api_key: the key holds a line break or another control character"},
		"a name that no header can hold": {"model_list:\n- model_name: \"m\\n\"\n  litellm_params: {model: ollama/m}\n",
			`model_name "m\n" holds a control character`},
		"an alias that no header can hold": {oneModel + "router_settings:\n  model_group_alias: {\"a\\x01\": m}\n",
			`the alias "a\x01" holds a control character`},
		"a number that is too large": {oneModel + "router_settings:\n  num_retries: 99999999999999999999\n",
			`router_settings.num_retries: "99999999999999999999" is too large`},
		"more seconds than there are": {oneModel + "router_settings:\n  timeout: 1e300\n",
			`router_settings.timeout: "1e300" is too large: want seconds, 315360000 at most`},
		"a timeout that rounds to none": {oneModel + "router_settings:\n  timeout: 1e-300\n",
			`router_settings.timeout: want a number of at least 0.001, got "1e-300"`},
		"a time for all that rounds to none": {oneModel + "router_settings:\n  request_timeout: 1e-9\n",
			`router_settings.request_timeout: want seconds, and at least 0.001 of them unless it is 0, got "1e-9"`},
		"a pause that rounds to none": {oneModel + "router_settings:\n  retry_after: 0.0001\n",
			`retry_after: want seconds, and at least 0.001 of them unless it is 0`},
		"a cooldown that rounds to none": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, cooldown_time: 1e-300}\n",
			`litellm_params.cooldown_time: want seconds, and at least 0.001 of them unless it is 0`},
		"seconds that are no number": {oneModel + "router_settings:\n  cooldown_time: .nan\n",
			`cooldown_time: want a number of at least 0, got ".nan"`},
		"seconds without end": {oneModel + "router_settings:\n  request_timeout: Infinity\n",
			`request_timeout: want a number of at least 0, got "Infinity"`},
		"a merge of what is no mapping": {"model_list:\n- model_name: m\n  litellm_params:\n    <<: [5]\n    model: ollama/m\n",
			`<< wants a mapping, or a list of mappings, got "5"`},
		"a master key that is not set": {oneModel + "general_settings:\n  master_key: os.environ/NO_SUCH\n",
			"c.yaml:5: general_settings.master_key: $NO_SUCH is not set, and everybody would be let in: set it, or remove master_key"},
		"a master key that is empty": {oneModel + "general_settings:\n  master_key: ''\n",
			"the key is empty, and everybody would be let in"},
		"a master key without a value": {oneModel + "general_settings:\n  master_key:\n",
			"the key is empty, and everybody would be let in"},
		"a header that smuggles another": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, headers: {X-A: " +
			"\"a\\r\\nX-B: b\"}}\n", "not a valid HTTP header name and value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := config.Parse("c.yaml", []byte(tc.text), config.Options{Lookup: environ(nil), Strict: true})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error:\n%v\nwant …%s…", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows what may be secret: %v", err)
			}
		})
	}
}

// TestWhatIsOddIsSaidAndTheRestGoesOn lists configs that load with a word.
func TestWhatIsOddIsSaidAndTheRestGoesOn(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"a misspelt setting": {oneModel + "router_settings:\n  num_retrys: 2\n",
			`c.yaml:5: router_settings.num_retrys: unknown key: ignored; did you mean "num_retries"?`},
		"a misspelt section": {oneModel + "router_setings: {}\n", `unknown key: ignored; did you mean "router_settings"?`},
		"a misspelt key of an entry": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, api_bse: 'http://h'}\n",
			`unknown key: ignored; did you mean "api_base"?`},
		"a misspelt time of an entry": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, ttft_timout: 5}\n",
			`c.yaml:3: model_list[0].litellm_params.ttft_timout: unknown key: ignored; did you mean "ttft_timeout"?`},
		"a setting of all in an entry": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, stream_failover: false}\n",
			"litellm_params.stream_failover: unknown key: ignored; it belongs in general_settings"},
		"a time to the first token that nobody waits for": {oneModel + "router_settings: {stream_failover: false, ttft_timeout: 5}\n",
			"c.yaml:4: router_settings.ttft_timeout: ignored: with stream_failover: false"},
		"the same of an entry": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, ttft_timeout: 5}\n" +
			"router_settings: {stream_failover: false}\n",
			"c.yaml:3: model_list[0].litellm_params.ttft_timeout: ignored: with stream_failover: false"},
		"a cache of another kind": {oneModel + "general_settings:\n  cache_params: {type: disk}\n",
			"isthmus has no cache of type disk: ignored, and no answers are kept; use local or redis"},
		"a callback that does not exist": {oneModel + "general_settings:\n  success_callback: [langfuze]\n",
			`no callback is called "langfuze": ignored; want langfuse, mlflow, webhook, prometheus, otel, or exec:COMMAND for your own`},
		"a setting that only LiteLLM has": {oneModel + "general_settings:\n  database_url: x\n", "not supported by isthmus: ignored"},
		"a section that only LiteLLM has": {oneModel + "prompts: []\n", "not supported by isthmus: ignored"},
		"a callback that only LiteLLM has": {oneModel + "litellm_settings:\n  callbacks: [datadog]\n",
			`isthmus has no callback "datadog": ignored`},
		"the same setting in two sections": {oneModel + "general_settings:\n  num_retries: 1\nrouter_settings:\n  num_retries: 4\n",
			"c.yaml:5: general_settings.num_retries: router_settings.num_retries in line 7 wins over this one"},
		"a provider that is an address": {"model_list:\n- model_name: m\n  litellm_params: {model: mine/big, api_base: 'http://h/v1'}\n",
			`"mine" is no provider isthmus knows: its api_base is taken for an OpenAI-compatible server that serves "big"`},
		"a key that is not set": {oneModel + "- model_name: n\n  litellm_params: {model: openai/n, api_key: os.environ/NO_SUCH}\n",
			"c.yaml:4: model_list[1]: n: $NO_SUCH is not set: this deployment is left out"},
		"a retry policy of a group that is not": {oneModel + "router_settings:\n  model_group_retry_policy: {n: {TimeoutErrorRetries: 1}}\n",
			`c.yaml:5: router_settings.model_group_retry_policy.n: there is no model group "n"`},
		"a client's mistakes that would cool": {oneModel + "router_settings:\n  allowed_fails_policy: {BadRequestErrorAllowedFails: 1}\n",
			"BadRequestErrorAllowedFails: a client's own mistake never cools a deployment: ignored"},
		"a 502 that would count by itself": {oneModel + "router_settings:\n  allowed_fails_policy: {BadGatewayErrorAllowedFails: 1}\n",
			"ignored; set ServiceUnavailableErrorAllowedFails"},
		"a limit of an alias": {oneModel +
			"router_settings:\n  model_group_alias: {fast: m}\n  model_group_limits: {fast: {rpm: 1}}\n",
			`nothing is limited by this: "fast" is an alias; limit the groups that it stands for`},
		"a limit of a group that is not": {oneModel + "router_settings:\n  model_group_limits: {n: {rpm: 1}}\n",
			`c.yaml:5: router_settings.model_group_limits.n: there is no model group "n"`},
		"a header that is Envoy's to write": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, headers: " +
			"{Content-Length: '3', X-A: b}}\n", "c.yaml:3: model_list[0].litellm_params.headers: Content-Length is the gateway's own to write: " +
			"ignored"},
		"a Redis that nobody checks": {oneModel +
			"general_settings:\n  cache_params: {type: redis, url: 'rediss://h', ssl_cert_reqs: none}\n", "any certificate of the Redis is " +
			"taken: whoever stands between can read and change what is stored"},
		"a list of headers with a hole in it": {oneModel + "litellm_settings:\n  webhook_headers: 'X-A=b,canary'\n",
			"c.yaml:5: litellm_settings.webhook_headers: header 2 of the list is no NAME=VALUE: left out"},
		"a sink without its address": {oneModel + "general_settings:\n  success_callback: [webhook]\n",
			"webhook is on, but webhook_url (GENERIC_LOGGER_ENDPOINT) is not set: it stays off"},
	} {
		t.Run(name, func(t *testing.T) {
			c, notes, err := config.Parse("c.yaml", []byte(tc.text), config.Options{Lookup: environ(nil)})
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for _, n := range notes {
				all = append(all, n.String())
			}
			if text := strings.Join(all, "\n"); !strings.Contains(text, tc.want) {
				t.Errorf("notes:\n%s\nwant …%s…", text, tc.want)
			}
			if len(c.Deployments) != 1 {
				t.Errorf("%d deployments, want 1", len(c.Deployments))
			}
		})
	}
}

// TestAWrongKeyOfTheEnvironmentIsNamedByItsVariable: a provider may have several.
func TestAWrongKeyOfTheEnvironmentIsNamedByItsVariable(t *testing.T) {
	text := []byte("model_list:\n- model_name: m\n  litellm_params: {model: gemini/m}\n")
	for _, name := range []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"} {
		_, _, err := config.Parse("c.yaml", text, config.Options{Lookup: environ(map[string]string{name: "canary\nX: y"})})
		want := "c.yaml:2: model_list[0]: the key in $" + name + " holds a line break or another control character"
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("error = %v, want …%s…", err, want)
		}
	}
}

func TestAStrictLoadRefusesWhatAPlainOneLeavesOut(t *testing.T) {
	text := oneModel + "- model_name: n\n  litellm_params: {model: openai/n, api_key: os.environ/NO_SUCH}\n"
	_, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil), Strict: true})
	if err == nil || !strings.Contains(err.Error(), "$NO_SUCH is not set: set it, or remove the entry") {
		t.Errorf("error = %v", err)
	}
	only := "model_list:\n- model_name: n\n  litellm_params: {model: openai/n, api_key: os.environ/NO_SUCH}\n"
	_, _, err = config.Parse("c.yaml", []byte(only), config.Options{Lookup: environ(nil)})
	if err == nil || !strings.Contains(err.Error(), "no deployment is left: each needs a variable that is not set: n ($NO_SUCH)") {
		t.Errorf("error = %v", err)
	}
}

// TestAMasterKeyThatIsNotSetNeverOpensTheGateway: also where a missing variable is
// else only a warning. An Envoy configuration can be written without the key.
func TestAMasterKeyThatIsNotSetNeverOpensTheGateway(t *testing.T) {
	text := []byte(oneModel + "general_settings: {master_key: os.environ/KEY}\n")
	if _, _, err := config.Parse("c.yaml", text, config.Options{Lookup: environ(nil)}); err == nil {
		t.Error("the gateway starts without its key")
	}
	if _, _, err := config.Parse("c.yaml", text, config.Options{Lookup: environ(nil), KeysElsewhere: true}); err != nil {
		t.Errorf("an Envoy configuration cannot be written: %v", err)
	}
	c, _, err := config.Parse("c.yaml", text, config.Options{Lookup: environ(map[string]string{"LITELLM_MASTER_KEY": "sk"})})
	if err != nil || c.MasterKey.Reveal() != "sk" {
		t.Errorf("the environment's own key is not taken: %v", err)
	}
}

func TestKeysOfTheEnvironmentGoOnlyToTheirProvider(t *testing.T) {
	vars := map[string]string{"OPENAI_API_KEY": "sk-env", "AZURE_API_KEY": "az-env", "AZURE_API_BASE": "https://r.openai.azure.com",
		"ANTHROPIC_API_KEY": "ant-env"}
	text := `model_list:
- {model_name: own, litellm_params: {model: openai/a}}
- {model_name: else, litellm_params: {model: openai/a, api_base: "http://elsewhere/v1"}}
- {model_name: az, litellm_params: {model: azure/a}}
- {model_name: az-file, litellm_params: {model: azure/a, api_base: "https://mine.openai.azure.com"}}
- {model_name: bare, litellm_params: {model: claude-3-opus-20240229}}
`
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"sk-env", "", "az-env", "az-env", "ant-env"} {
		if d := c.Deployments[i]; d.APIKey.Reveal() != want {
			t.Errorf("%s has the key %q, want %q", d.ModelName, d.APIKey.Reveal(), want)
		}
	}
}

// TestWhatFilesAndCopyingAddToAKeyIsNotOfIt: a key of a mounted secret ends with a
// line break, which no header may hold.
func TestWhatFilesAndCopyingAddToAKeyIsNotOfIt(t *testing.T) {
	vars := map[string]string{"K": "sk\n", "OPENAI_API_KEY": " sk\r\n", "MASTER": "sk\n"}
	text := `model_list:
- {model_name: named, litellm_params: {model: openai/a, api_key: os.environ/K}}
- {model_name: usual, litellm_params: {model: openai/a}}
general_settings: {master_key: os.environ/MASTER}
`
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars)})
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]secret.Text{"named": c.Deployments[0].APIKey, "usual": c.Deployments[1].APIKey, "master": c.MasterKey} {
		if key.Reveal() != "sk" {
			t.Errorf("%s: %q", name, key.Reveal())
		}
	}
}

func TestAnEnvFileWrittenOnWindowsIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "vars.env")
	if err := os.WriteFile(file, []byte("\ufeffK=sk\r\nN=7\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "model_list: [{model_name: m, litellm_params: {model: openai/a, api_key: os.environ/K, rpm: os.environ/N}}]\n"
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil), EnvFile: file, Strict: true})
	if err != nil || c.Deployments[0].APIKey.Reveal() != "sk" || c.Deployments[0].RPM != 7 {
		t.Errorf("error %v", err)
	}
}

func TestAMergeKeyMayBringInSeveralMappings(t *testing.T) {
	text := `model_list:
- model_name: m
  litellm_params: &slow {model: ollama/m, timeout: 90, rpm: 5}
- model_name: n
  litellm_params:
    <<: [{rpm: 7, tpm: 8}, *slow]
    model: ollama/n
`
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Deployments[1]; d.Model != "n" || *d.Timeout != 90*time.Second || d.RPM != 7 || d.TPM != 8 {
		t.Errorf("%s, timeout %s, rpm %d, tpm %d", d.Model, d.Timeout, d.RPM, d.TPM)
	}
}

func TestTheSameIsSaidOnce(t *testing.T) {
	_, _, err := config.Parse("c.yaml", []byte(oneModel+"model_list: []\n"), config.Options{Lookup: environ(nil)})
	if err == nil || strings.Count(err.Error(), "the key is there twice") != 1 {
		t.Errorf("error:\n%v", err)
	}
}

func TestVariablesStandAnywhereAndAnEmptyOneIsAbsent(t *testing.T) {
	vars := map[string]string{"K": "sk", "N": "7", "CB": "langfuse", "PK": "pk", "SK": "sk-lf", "EMPTY": "", "STOP": "END"}
	text := `model_list:
- model_name: m
  litellm_params: {model: openai/a, api_key: os.environ/K, rpm: os.environ/N, stop: [os.environ/STOP, x]}
general_settings:
  success_callback: [os.environ/CB]
  langfuse_public_key: os.environ/PK
  langfuse_secret_key: os.environ/SK
  cache_params: {type: redis, host: h, password: os.environ/EMPTY}
router_settings: {num_retries: os.environ/N, timeout: 1.5}
`
	c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(vars), Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	d := c.Deployments[0]
	if d.APIKey.Reveal() != "sk" || d.RPM != 7 || c.Router.NumRetries != 7 || c.Callbacks.Success[0] != "langfuse" ||
		!c.Redis.Password.IsZero() {
		t.Errorf("deployment %+v, retries %d, callbacks %v", d, c.Router.NumRetries, c.Callbacks.Success)
	}
	if p := d.Defaults; len(p) != 1 || string(p[0].Value) != `["END","x"]` {
		t.Errorf("stop = %v", p)
	}
	if c.Router.Timeout != 1500*time.Millisecond {
		t.Errorf("timeout = %v", c.Router.Timeout)
	}
}

// FuzzParse: any text gives a config or an error with a place, and never a panic.
func FuzzParse(f *testing.F) {
	f.Add(oneModel)
	f.Add(oneModel + "router_settings: {model_group_alias: {a: [m, m]}, fallbacks: [{m: [m]}], timeout: 1e3}\n")
	f.Add("model_list: &a\n- model_name: m\n  litellm_params: *a\n")
	f.Add("include: [c.yaml]\nmodel_list: [{model_name: 'a*b', litellm_params: {model: 'openai/*', api_key: os.environ/X}}]\n")
	f.Add("a: &a [*a, *a]\n" + oneModel + "b: {c: {d: &p {a: *p, b: *p}}}\n")
	f.Add("model_list: [{model_name: m, litellm_params: {model: a/b, api_base: 'http://h', <<: &x {y: *x}}}]")
	f.Add(oneModel +
		"general_settings: {master_key: k, cache_params: {type: redis, redis_startup_nodes: [[h, 1]]}, tenant_limits: {rpm: 1}, ? {a: b} : c}\n")
	f.Add(withCredential("model: azure/m, litellm_credential_name: azure-east, api_key: k"))
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(map[string]string{"X": "1"})})
		if err == nil && (c == nil || len(c.Deployments) == 0) {
			t.Error("no error and no deployment")
		}
		if err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

func TestStrictSinksNeedTheirAddress(t *testing.T) {
	_, _, err := config.Parse("c.yaml", []byte(oneModel+"general_settings:\n  success_callback: [webhook]\n"),
		config.Options{Lookup: environ(nil), Strict: true})
	if err == nil || !strings.Contains(err.Error(), "is not set: set it, or take the callback out") {
		t.Errorf("the error is %v", err)
	}
}
