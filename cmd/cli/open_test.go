package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const noKey = "no master_key is set: everybody who reaches "

// isthmus runs a command on a config of one model and these settings, and returns
// what it writes.
func isthmus(t *testing.T, settings string, args ...string) (stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	text := "model_list:\n- {model_name: m, litellm_params: {model: ollama/m}}\n" + settings
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	if code := Run(t.Context(), append(args, "--config", path), &out, &errs); code != 0 {
		t.Fatalf("%v ended with %d:\n%s", args, code, &errs)
	}
	return out.String(), errs.String()
}

func TestItIsSaidWhenEverybodyIsLetIn(t *testing.T) {
	const key = "general_settings: {master_key: sk-gateway}\n"
	if out, _ := isthmus(t, "", "check"); !strings.Contains(out,
		"notice: "+noKey+"the gateway is let in, and can use the providers' keys; set master_key in general_settings") {
		t.Errorf("check says:\n%s", out)
	}
	if out, _ := isthmus(t, key, "check"); strings.Contains(out, "master_key") {
		t.Errorf("check of a config with a key says:\n%s", out)
	}
	for _, tc := range []struct {
		settings, args, listens, says string
	}{
		{"", "", "address: 127.0.0.1", noKey + "127.0.0.1:4000"},
		{"", "--listen 0.0.0.0:4000", "address: 0.0.0.0", noKey + "0.0.0.0:4000"},
		{key, "", "address: 0.0.0.0", ""},
		{"general_settings: {master_key: os.environ/NO_SUCH}\n", "", "address: 0.0.0.0", ""}, // the service has it
		{key, "--listen 127.0.0.1:4000", "address: 127.0.0.1", ""},
		{"", "--format filters --domain llm.example.com", "", noKey + "this Envoy"},
		{"", "--format istio --domain llm.example.com", "", noKey + "this Envoy"},
	} {
		out, errs := isthmus(t, tc.settings, append([]string{"envoy"}, strings.Fields(tc.args)...)...)
		if at := regexp.MustCompile(`(address: \S+)\s+port_value: 4000`).FindStringSubmatch(out); tc.listens != "" &&
			(at == nil || at[1] != tc.listens) {
			t.Errorf("envoy %s with %q listens at %q, want %s", tc.args, tc.settings, at, tc.listens)
		}
		if says := strings.Contains(errs, noKey); says != (tc.says != "") || !strings.Contains(errs, tc.says) {
			t.Errorf("envoy %s says:\n%s", tc.args, errs)
		}
	}
}
