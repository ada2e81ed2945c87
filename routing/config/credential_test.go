package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/routing/config"
)

// credentials is a credential_list, with an entry that nothing names.
const credentials = `
credential_list:
- credential_name: azure-east
  credential_values: {api_key: os.environ/EAST, api_base: "https://east.example", api_version: "2025-01-01", ` +
	`organization: org, tenant_id: canary}
  credential_info: {description: x}
- {credential_name: keyless, credential_values: {api_base: "https://k.example/v1"}}
- {credential_name: empty, credential_values: {organization: org}}
- {credential_name: unused, credential_values: {api_key: os.environ/NO_SUCH}}
`

func withCredential(params string) string {
	return "model_list:\n- model_name: m\n  litellm_params: {" + params + "}\n" + credentials
}

func TestADeploymentTakesItsCredential(t *testing.T) {
	vars := map[string]string{"EAST": "sk-east", "OPENAI_API_KEY": "sk-environment", "AZURE_API_KEY": "sk-environment", "WHICH": "azure-east"}
	for name, tc := range map[string]struct{ params, want string }{
		"all of it": {"model: azure/m, litellm_credential_name: azure-east",
			"sk-east https://east.example 2025-01-01 org"},
		"named by a variable": {"model: azure/m, litellm_credential_name: os.environ/WHICH",
			"sk-east https://east.example 2025-01-01 org"},
		"and what the entry says wins": {"model: azure/m, litellm_credential_name: azure-east, api_key: own, api_version: v",
			"own https://east.example v org"},
		"also under the other name": {"model: azure/m, litellm_credential_name: azure-east, base_url: 'https://own.example'",
			"sk-east https://own.example 2025-01-01 org"},
		"an address, and nobody's key": {"model: openai/m, litellm_credential_name: keyless", " https://k.example/v1  "},
		"a key of the entry's own with it": {"model: openai/m, litellm_credential_name: empty, api_key: own",
			"own https://api.openai.com/v1  org"},
		"no key for one that needs none": {"model: ollama/m, litellm_credential_name: empty", " http://localhost:11434  org"},
	} {
		t.Run(name, func(t *testing.T) {
			c, notes, err := config.Parse("c.yaml", []byte(withCredential(tc.params)), config.Options{Lookup: environ(vars), Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			d := c.Deployments[0]
			if got := strings.Join([]string{d.APIKey.Reveal(), d.APIBase, d.APIVersion, d.Organization}, " "); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
			if len(d.Defaults) > 0 {
				t.Errorf("sent to the provider: %v", d.Defaults)
			}
			for _, n := range notes {
				if strings.Contains(n.String(), "canary") {
					t.Errorf("a note shows a value: %s", n)
				}
			}
		})
	}
}

func TestACredentialThatCannotBeUsedIsAnError(t *testing.T) {
	vars := map[string]string{"OPENAI_API_KEY": "sk-environment"}
	for name, tc := range map[string]struct{ text, want string }{
		"one that is not there": {withCredential("model: openai/m, litellm_credential_name: azure-esat"),
			`c.yaml:3: model_list[0].litellm_params.litellm_credential_name: there is no credential "azure-esat"; ` +
				`did you mean azure-east? (there are: azure-east, empty, keyless, unused)`},
		"one without a list": {"model_list:\n- model_name: m\n  litellm_params: {model: openai/m, litellm_credential_name: c}\n",
			`there is no credential "c": there is no credential_list`},
		"one named by a variable that is not set": {withCredential("model: openai/m, litellm_credential_name: os.environ/NO_SUCH"),
			"want the credential_name of one in credential_list"},
		"one without a key": {withCredential("model: openai/m, litellm_credential_name: empty"),
			`c.yaml:2: model_list[0]: the credential "empty" has no api_key: no key of the environment is used in its place`},
		"one whose variable is not set": {withCredential("model: openai/m, litellm_credential_name: unused"),
			"$NO_SUCH is not set: set it, or remove the entry"},
		"two of one name": {withCredential("model: openai/m, api_key: k") + "- {credential_name: empty, credential_values: {api_key: canary}}\n",
			`c.yaml:12: credential_list[4]: the name "empty" is taken by the credential in c.yaml:10`},
		"one without a name": {withCredential("model: openai/m, api_key: k") + "- {credential_values: {api_key: canary}}\n",
			"credential_list[4]: credential_name is missing"},
		"values that are a key": {withCredential("model: openai/m, litellm_credential_name: c") +
			"- {credential_name: c, credential_values: sk-canary}\n", "credential_values: want a mapping of keys and values, got text"},
		"a list that is a mapping": {"model_list:\n- model_name: m\n  litellm_params: {model: ollama/m}\ncredential_list: {a: canary}\n",
			"credential_list: want a list of credentials, got a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := config.Parse("c.yaml", []byte(tc.text), config.Options{Lookup: environ(vars), Strict: true})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error:\n%v\nwant …%s…", err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "sk-environment")) {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

func TestCredentialsOfIncludedFilesAddUp(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"keys.yaml": "model_list: []\ncredential_list:\n- {credential_name: a, credential_values: {api_key: one}}\n",
		"config.yaml": "include: [keys.yaml]\nmodel_list:\n- model_name: m\n  litellm_params: {model: openai/m, litellm_credential_name: " +
			"a}\n- model_name: n\n  litellm_params: {model: openai/n, litellm_credential_name: b}\nlitellm_settings:\n  credential_list: " +
			"[{credential_name: b, credential_values: {api_key: two}}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, _, err := config.Load(config.Options{Path: filepath.Join(dir, "config.yaml"), Lookup: environ(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := c.Deployments[0].APIKey.Reveal(), c.Deployments[1].APIKey.Reveal(); a != "one" || b != "two" {
		t.Errorf("keys %q and %q, want one and two", a, b)
	}
}

// A key that only the service has is no hindrance to writing Envoy's configuration.
func TestACredentialWhoseKeyIsElsewhereIsKept(t *testing.T) {
	c, _, err := config.Parse("c.yaml", []byte(withCredential("model: openai/m, litellm_credential_name: unused")),
		config.Options{Lookup: environ(nil), KeysElsewhere: true})
	if err != nil || len(c.Deployments) != 1 {
		t.Errorf("%v, %+v", err, c)
	}
}
