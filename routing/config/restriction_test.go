package config_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// TestWhatWasToHoldSomethingBackAndDoesNotIsAnError: who has misspelt master_key, or
// put it where nobody reads it, believes that strangers are kept out.
func TestWhatWasToHoldSomethingBackAndDoesNotIsAnError(t *testing.T) {
	const open, nothing = "and so everybody is let in: ", "and so nothing is held back: "
	general := func(key string) string { return oneModel + "general_settings:\n  " + key + "\n" }
	param := func(key string) string {
		return "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m, " + key + "}\n"
	}
	for _, tc := range []struct{ text, want string }{
		{general("mater_key: k"), `c.yaml:5: general_settings.mater_key: unknown key, and so everybody is let in: did you mean "master_key"?`},
		{general("masterkey: k"), open + `did you mean "master_key"?`},
		{general("master-key: k"), open + `did you mean "master_key"?`},
		{general("MASTER_KEY: k"), open + `did you mean "master_key"?`},
		{general("masetr_key: k"), open + `did you mean "master_key"?`},
		{general("litellm_master_key: k"), open + `did you mean "master_key"?`},
		{general("LITELLM_MASTER_KEY: os.environ/K"), open + `did you mean "master_key"?`},
		{general("proxy_master_key: k"), open + `did you mean "master_key"?`},
		{oneModel + "router_settings:\n  masterkey: k\n", open},
		{oneModel + "master_key: k\n", "c.yaml:4: master_key: nobody reads it here, and so everybody is let in: it belongs in general_settings"},
		{oneModel + "masterkey: k\n", open},
		{oneModel + "api_key: k\n",
			"c.yaml:4: api_key: nobody reads it here: the key that clients must send is master_key in general_settings, that of a provider " +
				"belongs in litellm_params"},
		{oneModel + "  master_key: k\n", "c.yaml:4: model_list[0].master_key: nobody reads it here, " + open},
		{oneModel + "  general_settings: {master_key: k}\n", "c.yaml:4: model_list[0].general_settings.master_key: nobody reads it here, " +
			open},
		{oneModel + "  model_info: {master_key: k}\n", "model_list[0].model_info.master_key: nobody reads it here"},
		{param("master_key: k"), "c.yaml:3: model_list[0].litellm_params.master_key: nobody reads it here, " + open},
		{param("general_settings: {master_key: k}"), "litellm_params.general_settings.master_key: nobody reads it here"},
		{oneModel + "general_setings: {master_key: k}\n", "c.yaml:4: general_setings.master_key: nobody reads it here, " + open},
		{oneModel + "general-settings: {mater_key: k}\n", "general-settings.mater_key: unknown key, " + open},
		{oneModel + "General_Settings: {max_parallel_requests: 3}\n", "General_Settings.max_parallel_requests: nobody reads it here, " + nothing},
		{oneModel + "litellm:\n  general_settings: {master_key: k}\n", "c.yaml:5: litellm.general_settings.master_key: nobody reads it here"},
		{oneModel + "router_settings:\n  general_settings: {master_key: k}\n",
			"c.yaml:5: router_settings.general_settings.master_key: nobody reads it here"},
		{general("cache_params: {master_key: k}"), "cache_params.master_key: nobody reads it here"},
		{general("tenant_heder: x-team"), nothing + `did you mean "tenant_header"?`},
		{general("tenant_limit: {rpm: 1}"), nothing + `did you mean "tenant_limits"?`},
		{general("max_paralel_requests: 3"), nothing + `did you mean "max_parallel_requests"?`},
		{general("model_groups_limits: {m: {rpm: 1}}"), nothing + `did you mean "model_group_limits"?`},
		{general("turn_of_message_logging: true"), nothing + `did you mean "turn_off_message_logging"?`},
		{oneModel + "max_parallel_requests: 3\n",
			"c.yaml:4: max_parallel_requests: nobody reads it here, and so nothing is held back: it belongs in general_settings, or " +
				"litellm_params for one deployment"},
		{oneModel + "  max_parallel_requests: 3\n", "model_list[0].max_parallel_requests: nobody reads it here"},
		{param("rmp: 3"), `litellm_params.rmp: unknown key, and so nothing is limited by it: did you mean "rpm"?`},
		{param("max_parallel_request: 3"), `did you mean "max_parallel_requests"?`},
		{general("tenant_limits: {rps: 3}"),
			"tenant_limits.rps: unknown key, and so nothing is limited by it: want rpm, tpm, itpm, otpm or max_parallel_requests"},
		{general("model_group_limits: {m: {RPM: 3}}"), "model_group_limits.m.RPM: unknown key, and so nothing is limited by it"},
		{general("max_parallel_requests: os.environ/NO_SUCH"),
			"$NO_SUCH is not set, and nothing would be held back: set it, or remove max_parallel_requests"},
		{general("tenant_header: os.environ/NO_SUCH"), "$NO_SUCH is not set, and nothing would be held back"},
		{general("tenant_limits: {rpm: os.environ/NO_SUCH}"), "$NO_SUCH is not set, and nothing would be limited: set it, or remove rpm"},
		{general("global_max_parallel_request: 3"), nothing + `did you mean "global_max_parallel_requests"?`},
		{general("enforced_params: os.environ/NO_SUCH"), "general_settings.enforced_params: isthmus does not enforce it: "},
		{general("EnableJwtAuth: true"), nothing + `did you mean "enable_jwt_auth"? isthmus does not enforce that either: take it out`},
		{oneModel + "enable_jwt_auth: true\n", "c.yaml:4: enable_jwt_auth: isthmus does not enforce it: "},
		{oneModel + "allowed_ips: [10.0.0.1]\n", "c.yaml:4: allowed_ips: isthmus does not enforce it: "},
		{oneModel + "guardrail: [{guardrail_name: pii}]\n", nothing + `did you mean "guardrails"?`},
		{oneModel + "Guardrails: [{guardrail_name: pii}]\n", nothing + `did you mean "guardrails"?`},
		{oneModel + "  max_budget: 3\n", "c.yaml:4: model_list[0].max_budget: isthmus does not enforce it: "},
		{oneModel + "  access_groups: [a]\n", "model_list[0].access_groups: isthmus does not enforce it: "},
		{oneModel + "  model_info: {acces_groups: [a]}\n", nothing + `did you mean "access_groups"?`},
		{oneModel + "  model_info: {rmp: 3}\n", `model_info.rmp: unknown key, and so nothing is limited by it: did you mean "rpm"?`},
		{oneModel + "  rmp: 3\n", `model_list[0].rmp: unknown key, and so nothing is limited by it: did you mean "rpm"?`},
		{param("access_groups: [a]"), "litellm_params.access_groups: isthmus does not enforce it: "},
		{param("guardrail: [a]"), nothing + `did you mean "guardrails"?`},
		{general("master_key: false"), "want the key as text, got true or false"},
		{general("master_key: '${MASTER_KEY}'"), "the key would be the name of a variable, which everybody can guess: say os.environ/NAME"},
		{general("master_key: os.environ.MASTER_KEY"), "the key would be the name of a variable"},
		{general("master_key: '  '"), "the key is empty, and everybody would be let in"},
		{oneModel + "environment_variables: {LITELLM_MASTER_KEY: ''}\n",
			"c.yaml:4: environment_variables.LITELLM_MASTER_KEY: the key is empty, and everybody would be let in"},
		{oneModel + "environment_variables:\n  LITELLM_MASTER_KEY:\n", "c.yaml:5: environment_variables.LITELLM_MASTER_KEY: the key is empty"},
		{oneModel + "environment_variables: {LITELLM_MASTER_KEY: os.environ/NO_SUCH}\n", "LITELLM_MASTER_KEY: the key is empty"},
		{oneModel + "environment_variables: {LITELLM_MATER_KEY: k}\n",
			`LITELLM_MATER_KEY: nobody reads it, and so everybody is let in: did you mean "LITELLM_MASTER_KEY"?`},
		{oneModel + "environment_variables: {MASTER_KEY: k}\n", "MASTER_KEY: nobody reads it, and so everybody is let in"},
		{oneModel + "---\ngeneral_settings: {master_key: k}\n", "c.yaml:5: not valid YAML: a second document begins here, which nobody reads"},
	} {
		_, _, err := config.Parse("c.yaml", []byte(tc.text), config.Options{Lookup: environ(nil)})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error:\n%v\nwant …%s…", tc.text[len(oneModel)-20:], err, tc.want)
		}
	}
}

func TestWhatOnlyLooksAsIfItHeldSomethingBackIsNoError(t *testing.T) {
	for _, text := range []string{
		oneModel + "x-defaults: &d {max_parallel_requests: 5}\n",
		oneModel + "mine: {anything: {max_parallel_requests: 5}}\n",
		oneModel + "general_settings: {default_internal_user_params: {max_parallel_requests: 5}}\n",
		oneModel + "general_settings: {use_master_keys_of: x, openai_key: k, mistral_key: k}\n",
		"model_list:\n- model_name: m\n  litellm_params: {model: openai/m, api_key: k, top_p: 1, stop: x, top_k: 3}\n  model_info: {mine: " +
			"{max_parallel_requests: 5}}\n",
		oneModel + "environment_variables: {MASTER_KEY: k}\ngeneral_settings: {master_key: os.environ/MASTER_KEY}\n",
		oneModel + "environment_variables: {MEILI_MASTER_KEY: k}\nmine: os.environ/MEILI_MASTER_KEY\n",
		oneModel + "environment_variables: {LITELLM_MASTER_KEY: ''}\ngeneral_settings: {master_key: k}\n",
		oneModel + "  model_info: {max_budget: 3, guardrails: [x], tps: 40, team_ids: [a], access_groups: []}\n",
		"---\n" + oneModel + "---\n",
		oneModel + "...\n",
		oneModel + "enable_jwt_auth: false\nallowed_ipss: []\n",
	} {
		if _, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil)}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A deployment whose limit is not known is left out, like one whose key is not.
func TestADeploymentWhoseLimitIsNotSetIsLeftOut(t *testing.T) {
	for _, params := range []string{"litellm_params: {model: ollama/n, rpm: os.environ/N}",
		"litellm_params: {model: ollama/n, max_parallel_requests: os.environ/N}",
		"litellm_params: {model: ollama/n}\n  tpm: os.environ/N", "litellm_params: {model: ollama/n}\n  model_info: {tpm: os.environ/N}"} {
		text := []byte(oneModel + "- model_name: n\n  " + params + "\n")
		c, notes, err := config.Parse("c.yaml", text, config.Options{Lookup: environ(nil)})
		if err != nil || len(c.Deployments) != 1 || !strings.Contains(notes[0].String(), "$N is not set") {
			t.Errorf("%s: %v, %v", params, err, notes)
		}
		if c, _, err = config.Parse("c.yaml", text, config.Options{Lookup: environ(map[string]string{"N": "3"})}); err != nil ||
			len(c.Deployments) != 2 {
			t.Errorf("%s with the variable: %v", params, err)
		}
		if c, _, err = config.Parse("c.yaml", text, config.Options{Lookup: environ(nil), KeysElsewhere: true}); err != nil ||
			len(c.Deployments) != 2 {
			t.Errorf("%s with the variable elsewhere: %v", params, err)
		}
	}
}

// "Did you mean" led from names of LiteLLM's to others that do something else.
func TestAKnownNameIsNeverTakenForAnother(t *testing.T) {
	for _, tc := range []struct{ text, want, not string }{
		{oneModel + "general_settings: {cache_kwargs: {}}\n", "cache_kwargs: not supported by isthmus", "did you mean"},
		{oneModel + "router_settings: {rpm: 5}\n", "router_settings.rpm: unknown key: ignored; it belongs in litellm_params", "did you mean"},
		{oneModel + "router_settings: {namespace: x}\n", "it belongs in cache_params", "did you mean"},
		{oneModel + "num_retries: 5\n", "c.yaml:4: num_retries: unknown key: ignored; it belongs in general_settings", "did you mean"},
		{oneModel + "  api_base: x\n", "model_list[0].api_base: unknown key: ignored; it belongs in litellm_params", "did you mean"},
		{oneModel + "router_settings: {model_list: []}\n", "not supported by isthmus", "did you mean"},
		{oneModel + "router_settings: {nmu_retries: 5}\n", `did you mean "num_retries"?`, "belongs"},
		{oneModel + "litellm_settings: {reuqest_timeout: 5}\n", `did you mean "request_timeout"?`, "belongs"},
	} {
		_, notes, err := config.Parse("c.yaml", []byte(tc.text), config.Options{Lookup: environ(nil)})
		var all strings.Builder
		for _, n := range notes {
			all.WriteString(n.String() + "\n")
		}
		if err != nil || !strings.Contains(all.String(), tc.want) || strings.Contains(all.String(), tc.not) {
			t.Errorf("%s: %v\n%s", tc.text[len(oneModel):], err, &all)
		}
	}
	for model, want := range map[string]string{
		"zai/glm-4.6":   "LiteLLM's provider zai is not here: give its api_base if it is OpenAI-compatible",
		"replicate/m":   "LiteLLM's provider replicate is not here",
		"opneai/gpt-4o": `provider "opneai" is not known; did you mean openai?`,
	} {
		_, _, err := config.Parse("c.yaml", []byte("model_list:\n- {model_name: m, litellm_params: {model: "+model+"}}\n"),
			config.Options{Lookup: environ(nil)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", model, err, want)
		}
	}
}

// A container's environment often has a variable that stands for nothing.
func TestAnEmptyVariableOfTheMasterKeyIsAnError(t *testing.T) {
	const want = "$LITELLM_MASTER_KEY is empty, and everybody would be let in: give it a key, or unset it"
	for name, o := range map[string]config.Options{
		"of the process": {Lookup: environ(map[string]string{"LITELLM_MASTER_KEY": ""})},
		"of the env file": {Lookup: environ(nil), EnvFile: ".env",
			Read: func(string) ([]byte, error) { return []byte("LITELLM_MASTER_KEY=\n"), nil }},
	} {
		if _, _, err := config.Parse("c.yaml", []byte(oneModel), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if _, _, err := config.Parse("c.yaml", []byte(oneModel+"general_settings: {master_key: k}\n"), o); err != nil {
			t.Errorf("%s, beside a key: %v", name, err)
		}
		o.KeysElsewhere = true
		if _, _, err := config.Parse("c.yaml", []byte(oneModel), o); err != nil {
			t.Errorf("%s, where the keys are another's: %v", name, err)
		}
	}
}
