package config

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/litellm"
)

// TestWhatTheTableSaysWorksIsRead holds the table of names to the code, both ways.
func TestWhatTheTableSaysWorksIsRead(t *testing.T) {
	variables := variableNames()
	for _, p := range translate.Providers() {
		variables = append(append(variables, p.KeyVars...), p.BaseVars...)
	}
	for section, names := range map[litellm.Section][]string{
		litellm.Settings:    slices.Collect(maps.Keys(settingTable())),
		litellm.Params:      read(t, "param.go", "param", "steering", "either", "rate"),
		litellm.ModelInfo:   read(t, "param.go", "info", "either", "rate"),
		litellm.CacheParams: read(t, "cache.go", "cacheParams", "redisParam"),
		litellm.Body:        said(t, "../../docs/endpoints.md", "Member"),
		litellm.Environment: variables,
	} {
		for _, name := range names {
			if e, ok := litellm.Lookup(section, name); ok && e.Answer != litellm.Works && e.Answer != litellm.WorksAs {
				t.Errorf("%s: %s is read, and the table says that it is %s", section, name, e.Answer)
			} else if !ok && section != litellm.Environment {
				t.Errorf("%s: %s is read, and the table has no such name", section, name)
			}
		}
		for _, rule := range litellm.Rules(section) {
			if rule.Answer != litellm.Works && rule.Answer != litellm.WorksAs || rule.Sent {
				continue
			}
			for name := range strings.FieldsSeq(rule.Names) {
				if !slices.Contains(names, name) && !strings.Contains(name, "*") && !readElsewhere(name) {
					t.Errorf("%s: the table says that %s works, and nobody reads it", section, name)
				}
			}
		}
	}
}

// readElsewhere lists what works and is read at other places than the rest.
func readElsewhere(name string) bool {
	switch name {
	case "credential_list", "litellm_credential_name": // of several sections
		return true
	case "AZURE_API_VERSION", "OPENAI_API_VERSION", "SSL_CERT_FILE", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME": // of the process
		return true
	}
	return false
}

func said(t *testing.T, path, head string) []string {
	t.Helper()
	_, table, ok := strings.Cut(document(t, path), "| "+head+" |")
	if !ok {
		t.Fatalf("%s has no table %s", path, head)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var names []string
	for line := range strings.Lines(table) {
		first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		for _, m := range code.FindAllStringSubmatch(first, -1) {
			if !strings.Contains(m[1], ".") {
				names = append(names, m[1])
			}
		}
	}
	return names
}

func oneEntry(params, rest string) string {
	return "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m" + params + "}\n" + rest
}

func load(text string, allowed ...string) (*Config, Diagnostics, error) {
	lookup := func(name string) (string, bool) { return "10.0.0.0/8", name == "SET" }
	return Parse("c.yaml", []byte(text), Options{Lookup: lookup, AllowUnenforced: allowed})
}

func TestWhatRestrictsStopsTheStart(t *testing.T) {
	for name, tc := range map[string]struct{ text, at, named string }{
		"tokens": {oneEntry("", "general_settings: {enable_jwt_auth: true}\n"),
			"c.yaml:4: general_settings.enable_jwt_auth", "enable_jwt_auth"},
		"an authentication of one's own": {oneEntry("", "general_settings:\n  custom_auth: my.auth\n"),
			"c.yaml:5: general_settings.custom_auth", "custom_auth"},
		"addresses": {oneEntry("", "general_settings: {allowed_ips: [10.0.0.1]}\n"), "general_settings.allowed_ips",
			"allowed_ips"},
		"addresses of a variable": {oneEntry("", "general_settings: {allowed_ips: os.environ/SET}\n"), "general_settings.allowed_ips",
			"allowed_ips"},
		"paths": {oneEntry("", "general_settings: {allowed_routes: [/v1/models]}\n"), "allowed_routes",
			"allowed_routes"},
		"the header of the key": {oneEntry("", "general_settings: {litellm_key_header_name: X-Mine}\n"), "litellm_key_header_name",
			"litellm_key_header_name"},
		"members of a request": {oneEntry("", "general_settings: {enforced_params: [user]}\n"), "enforced_params",
			"enforced_params"},
		"a budget for all": {oneEntry("", "litellm_settings: {max_budget: 10}\n"), "litellm_settings.max_budget", "max_budget"},
		"budgets of providers": {oneEntry("", "router_settings: {provider_budget_config: {openai: {budget_limit: 1}}}\n"),
			"provider_budget_config", "provider_budget_config"},
		"the budget of a model": {oneEntry(", max_budget: 2", ""), "c.yaml:3: model_list[0].litellm_params.max_budget", "max_budget"},
		"guardrails": {oneEntry("",
			"guardrails:\n- {guardrail_name: pii, litellm_params: {guardrail: presidio, default_on: true}}\n"),
			"c.yaml:5: guardrails", "guardrails"},
		"guardrails of LiteLLM's settings": {oneEntry("", "litellm_settings: {guardrails: [{a: {callbacks: [presidio]}}]}\n"),
			"litellm_settings.guardrails", "guardrails"},
		"the guardrails of a model": {oneEntry(", guardrails: [pii]", ""), "litellm_params.guardrails", "guardrails"},
		"a guardrail among the callbacks": {oneEntry("", "litellm_settings: {callbacks: [langfuse, hide_secrets]}\n"),
			"litellm_settings.callbacks[1]", "hide_secrets"},
		"a Python class": {oneEntry("", "litellm_settings: {callbacks: my.hooks.one}\n"), "litellm_settings.callbacks",
			"my.hooks.one"},
		"policies": {oneEntry("", "policies: {a: {guardrails: {add: [pii]}}}\n"), "policies", "policies"},
		"groups of a model": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n  model_info: " +
			"{access_groups: [a]}\n", "c.yaml:4: model_list[0].model_info.access_groups", "access_groups"},
		"the team of a model": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n  model_info: {team_id: a}\n",
			"model_info.team_id", "team_id"},
		"a model that is blocked": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n  model_info: {blocked: " +
			"true}\n", "model_info.blocked", "blocked"},
		"a certificate authority": {oneEntry(", ssl_verify: /ca.pem", ""), "litellm_params.ssl_verify", "ssl_verify"},
		"the size of answers": {oneEntry("", "general_settings: {max_response_size_mb: 1}\n"), "max_response_size_mb",
			"max_response_size_mb"},
		"records of one model without text": {oneEntry(", turn_off_message_logging: true", ""), "litellm_params.turn_off_message_logging",
			"turn_off_message_logging"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.at+": isthmus does not enforce it: ") ||
				!strings.Contains(err.Error(), "--allow-unenforced "+tc.named) || !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Fatalf("error: %v", err)
			}
			c, notes, err := load(tc.text, tc.named)
			if err != nil || !slices.Equal(c.Unenforced, []string{tc.named}) {
				t.Fatalf("allowed: %v, unenforced %v", err, c)
			}
			if !slices.ContainsFunc(notes, func(d Diagnostic) bool {
				return d.Severity == Warning &&
					strings.HasPrefix(d.Message, "NOT ENFORCED")
			}) {
				t.Errorf("nothing is said: %v", notes)
			}
		})
	}
}

func TestWhatIsOffRestrictsNothing(t *testing.T) {
	for _, text := range []string{
		oneEntry("",
			"general_settings: {enable_jwt_auth: false, allowed_ips: [], custom_auth: null, allowed_routes: , ssl_verify: os.environ/UNSET}\n"),
		oneEntry(", guardrails: [], max_budget: null, ssl_verify: true", "guardrails: []\n"),
		oneEntry("", "litellm_settings: {max_budget: 0, budget_duration: '', guardrails: [], ssl_verify: true}\n"),
		"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n  model_info: {access_groups: [], team_id: null, blocked: false}\n",
	} {
		if c, notes, err := load(text); err != nil || len(notes) > 0 || len(c.Unenforced) > 0 {
			t.Errorf("%v %v in:\n%s", err, notes, text)
		}
	}
	_, notes, err := load(oneEntry(", ssl_verify: false", ""))
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0].Message, "always verifies") {
		t.Errorf("ssl_verify: false: %v %v", err, notes)
	}
}

func TestWhatRestrictsNothingNeverStopsTheStart(t *testing.T) {
	for name, text := range map[string]string{
		"another cache": oneEntry("",
			"litellm_settings: {cache: true, cache_params: {type: s3, s3_bucket_name: b, s3_aws_secret_access_key: k}}\n"),
		"a pager":                    oneEntry("", "litellm_settings: {callbacks: [pagerduty]}\n"),
		"a logger that nobody knows": oneEntry("", "litellm_settings: {callbacks: [my_logger]}\n"),
		"Phoenix is not otel":        oneEntry("", "litellm_settings: {callbacks: [arize_phoenix]}\n"),
		"a database":                 oneEntry("", "general_settings: {database_url: postgres, store_model_in_db: true}\n"),
		"prices":                     oneEntry(", cache_read_input_token_cost: 1", ""),
		"chat by responses":          "model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\n  model_info: {mode: responses}\n",
	} {
		c, notes, err := load(text)
		if err != nil || len(notes) == 0 || len(c.Unenforced) > 0 || len(c.Callbacks.Success) > 0 || c.Cache.Enabled {
			t.Errorf("%s: %v %v", name, err, notes)
		}
		for _, n := range notes {
			if n.Severity != Warning || n.Line == 0 || !strings.Contains(n.Message, "ignored") {
				t.Errorf("%s: %s %s", name, n.Severity, n)
			}
		}
	}
}

func TestANameThatNobodyNeedsToAllowIsAMistake(t *testing.T) {
	text := oneEntry("", "general_settings: {allowed_ips: [a], enforced_params: [user]}\n")
	_, _, err := load(text, "alowed_ips")
	if err == nil || !strings.Contains(err.Error(),
		"--allow-unenforced alowed_ips: no such name; those of this config are allowed_ips, enforced_params") {
		t.Errorf("error: %v", err)
	}
	// One that the file does not have any more: the file has become safer, and still loads.
	c, notes, err := load(oneEntry("", ""), "allowed_ips")
	if err != nil || len(c.Unenforced) > 0 || len(notes) != 1 || notes[0].Severity != Notice {
		t.Errorf("%v %v", err, notes)
	}
}

// TestNoKeyOfLiteLLMsIsAParameter loads every credential and price, for every
// provider, in litellm_params and in model_info.
func TestNoKeyOfLiteLLMsIsAParameter(t *testing.T) {
	text, err := os.ReadFile("../../translate/litellm/testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	var members []string
	for _, section := range []string{"[credentials]\n", "[prices]\n"} {
		_, rest, _ := strings.Cut(string(text), section)
		part, _, _ := strings.Cut(rest, "\n\n")
		for _, name := range strings.Fields(part) {
			e, _ := litellm.Lookup(litellm.Params, name)
			if e.Answer != litellm.Refused && name != "azure_ad_token" && name != "model" && e.Answer != litellm.Works {
				members = append(members, fmt.Sprintf("%s: canary-%d", name, len(members)))
			}
		}
	}
	if len(members) < 250 {
		t.Fatalf("%d names", len(members))
	}
	for _, p := range translate.Providers() {
		t.Run(p.Name, func(t *testing.T) {
			all := strings.Join(members, ", ")
			config := "model_list:\n- model_name: m\n  litellm_params: {model: " + p.Name + "/m, api_key: k, api_base: 'http://h/v1', " + all +
				", extra_body: {" + all + ", mine: 1}}\n"
			c, notes, err := load(config)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(c.Deployments[0].Defaults); len(c.Deployments[0].Defaults) != 1 || !strings.HasPrefix(got, "[{extra_body ") {
				t.Errorf("defaults %s", got)
			}
			if len(notes) < 2*len(members) {
				t.Errorf("%d notes about %d names", len(notes), 2*len(members))
			}
		})
	}
}

func TestAParameterThatTheProviderLacksIsNotSent(t *testing.T) {
	for params, want := range map[string]string{
		"model: anthropic/claude-sonnet-4-5, api_key: k, min_p: 1, top_k: 3":                       "top_k",
		"model: anthropic/claude-sonnet-4-5, api_key: k, min_p: 1, allowed_openai_params: [min_p]": "min_p",
		"model: anthropic/claude-sonnet-4-5, api_key: k, extra_body: {min_p: 1}":                   "extra_body",
		"model: gemini/gemini-2.5-pro, api_key: k, min_p: 1, top_k: 3, safety_settings: []":        "top_k safety_settings",
		"model: gemini/gemini-embedding-001, api_key: k, task_type: X, dimensions: 3":              "task_type dimensions",
		"model: ollama/m, min_p: 1, num_ctx: 3, chat_template: x":                                  "min_p num_ctx",
		"model: openai/gpt-4o, api_key: k, min_p: 1, temperature: 0.5":                             "temperature",
		"model: openai/gpt-4o, api_key: k, min_p: 1, api_base: 'http://h/v1'":                      "min_p",
		"model: azure/d, api_key: k, api_base: 'https://h', min_p: 1, data_sources: []":            "data_sources",
		"model: mistral/m, api_key: k, min_p: 1, safe_prompt: true, temperature: 1":                "safe_prompt temperature",
		"model: hosted_vllm/m, api_base: 'http://h', guided_json: {}, min_p: 1, chat_template_kwargs: {a: true}": "guided_json min_p " +
			"chat_template_kwargs",
	} {
		c, notes, err := load("model_list:\n- model_name: m\n  litellm_params: {" + params + "}\n")
		if err != nil {
			t.Errorf("%s: %v", params, err)
			continue
		}
		var sent []string
		for _, p := range c.Deployments[0].Defaults {
			sent = append(sent, p.Name)
		}
		lost := len(strings.Split(params, "min_p: 1")) - 1
		if strings.Contains(want, "min_p") || strings.Contains(want, "extra_body") {
			lost = 0
		}
		if strings.Contains(params, "chat_template: x") {
			lost = 1
		}
		if strings.Contains(params, "hosted_vllm") {
			lost = 2 // guided_json and chat_template_kwargs, which are told of
		}
		if got := strings.Join(sent, " "); got != want || len(notes) != lost {
			t.Errorf("%s: sends %q, want %q; said %v", params, got, want, notes)
		}
	}
}

func TestWhatACloudLogsInWithIsNamedWithARemedy(t *testing.T) {
	for name, tc := range map[string]struct{ params, want string }{
		"Entra without a key": {"model: azure/d, api_base: 'https://h', tenant_id: t, client_id: c, client_secret: s",
			"litellm_params.tenant_id: isthmus cannot log in at Microsoft Entra yet: give a token as azure_ad_token, or api_key"},
		"Bedrock": {"model: bedrock/m, aws_secret_access_key: s",
			"litellm_params.model: isthmus does not speak to AWS (bedrock) yet: take the entry out"},
		"Bedrock with a base": {"model: bedrock/m, api_base: 'http://h', aws_secret_access_key: s",
			"isthmus does not speak to AWS (bedrock) yet"},
		"Vertex by its provider": {"model: m, custom_llm_provider: vertex_ai, api_base: 'http://h'",
			"isthmus does not speak to Google Vertex AI yet"},
	} {
		_, _, err := load("model_list:\n- model_name: m\n  litellm_params: {" + tc.params + "}\n")
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "give its api_base") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, notes, err := load("model_list:\n- model_name: m\n  litellm_params: {model: azure/d, api_base: 'https://h', api_key: k, tenant_id: " +
		"t, client_secret: s}\n")
	if err != nil || len(notes) != 2 || len(c.Deployments[0].Defaults) != 0 {
		t.Errorf("Entra beside a key: %v %v", err, notes)
	}
}

func TestDefaultsOfLitellmParamsHoldWhereAnEntrySaysNothing(t *testing.T) {
	c, notes, err := load("model_list:\n- {model_name: a, litellm_params: {model: hosted_vllm/a, api_base: 'http://h', rpm: 7, top_k: 1}}\n" +
		"- {model_name: b, litellm_params: {model: hosted_vllm/b}}\n" +
		"router_settings: {default_litellm_params: {api_base: 'http://d', rpm: 3, top_k: 2, min_p: 4, aws_region_name: r}}\n")
	if err != nil {
		t.Fatal(err)
	}
	a, b := c.Deployments[0], c.Deployments[1]
	if a.APIBase != "http://h" || a.RPM != 7 || fmt.Sprint(a.Defaults) != "[{top_k 1} {min_p 4}]" {
		t.Errorf("a: %s %d %v", a.APIBase, a.RPM, a.Defaults)
	}
	if b.APIBase != "http://d" || b.RPM != 3 || fmt.Sprint(b.Defaults) != "[{top_k 2} {min_p 4}]" {
		t.Errorf("b: %s %d %v", b.APIBase, b.RPM, b.Defaults)
	}
	if len(notes) != 1 || !strings.Contains(notes[0].Message, "ignored") {
		t.Errorf("notes %v", notes)
	}
	_, _, err = load(oneEntry("", "router_settings: {default_litellm_params: {max_budget: 3}}\n"))
	if err == nil || !strings.Contains(err.Error(), "router_settings.default_litellm_params.max_budget: isthmus does not enforce it") {
		t.Errorf("a budget among them: %v", err)
	}
}

func TestAMisspeltRestrictionOfLiteLLMsIsNamed(t *testing.T) {
	for name, want := range map[string]string{"allowed_ipss": "allowed_ips", "enable_jwt_aut": "enable_jwt_auth",
		"enforce_user_params": "enforce_user_param"} {
		_, notes, err := load(oneEntry("", "general_settings: {"+name+": true}\n"))
		if err == nil || !strings.Contains(err.Error(), name+`: unknown key, and so nothing is held back: did you mean "`+want+`"?`) {
			t.Errorf("%s: %v %v", name, err, notes)
		}
	}
}

// A key in a provider's body lies in its log, and nobody is let in by it.
func TestACredentialInAnotherSpellingIsNotSent(t *testing.T) {
	for name, want := range map[string]string{
		"apiKey": `did you mean "api_key"?`, "API_KEY": `did you mean "api_key"?`, "azure_ad_tokn": `did you mean "azure_ad_token"?`,
		"clientSecret": `did you mean "client_secret"?`, "client_secert": `did you mean "client_secret"?`,
		"AWS_SECRET_ACCESS_KEY": `did you mean "aws_secret_access_key"?`, "Authorization": "reads like a credential",
		"openai_api_key": "reads like a credential", "token": "reads like a credential", "password": "reads like a credential",
		"x-api-key": "reads like a credential", "inputCostPerToken": `did you mean "input_cost_per_token"?`,
	} {
		const entry = "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: 'http://h', api_key: k, "
		c, notes, err := load(entry + name + ": x}\n")
		if err != nil || len(c.Deployments[0].Defaults) > 0 || len(notes) != 1 || !strings.Contains(notes[0].Message, want) {
			t.Errorf("%s: %v %v, want %s", name, err, notes, want)
		}
		if want != "reads like a credential" {
			continue
		}
		if c, notes, err = load(entry + name + ": x, allowed_openai_params: [" + name + "]}\n"); err != nil || len(notes) > 0 ||
			len(c.Deployments[0].Defaults) != 1 {
			t.Errorf("%s, allowed: %v %v", name, err, notes)
		}
	}
	c, notes, err := load("model_list:\n- model_name: m\n  litellm_params: {model: hosted_vllm/m, api_base: 'http://h', guided_json: {}, " +
		"prompt_cache_key: x, " +
		"add_special_tokens: true, maxOutputTokens: 3, stop_token_ids: [1], chat_template_kwargs: {a: 1}}\n")
	told := func(d Diagnostic) bool {
		return d.Severity == Notice && strings.Contains(d.Message, "goes to the provider as it is")
	}
	if err != nil || len(c.Deployments[0].Defaults) != 6 || len(notes) != 4 || slices.ContainsFunc(notes,
		func(d Diagnostic) bool { return !told(d) }) {
		t.Errorf("parameters: %v %v", err, notes)
	}
}

func TestEntraWhoseVariablesAreNotSetIsSaidToo(t *testing.T) {
	_, _, err := load("model_list:\n- model_name: m\n  litellm_params: {model: azure/m, api_base: 'https://h', tenant_id: " +
		"os.environ/UNSET, client_secret: os.environ/UNSET}\n")
	if err == nil || !strings.Contains(err.Error(), "litellm_params.tenant_id: isthmus cannot log in at Microsoft Entra yet") {
		t.Error(err)
	}
}

func TestAPythonClassThatIsCalledAtTheEndRestrictsNothing(t *testing.T) {
	for _, text := range []string{"success_callback: [my.logger]", "failure_callback: my.logger"} {
		_, notes, err := load(oneEntry("", "litellm_settings: {"+text+"}\n"))
		if err != nil || len(notes) != 1 || !strings.Contains(notes[0].Message, "exec:COMMAND") {
			t.Errorf("%s: %v %v", text, err, notes)
		}
	}
}
