package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

// written runs `isthmus envoy` on a config.
func written(t *testing.T, config string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = Run(t.Context(), append([]string{"envoy", "--config", path}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

const keyed = "model_list:\n" +
	"- model_name: a\n  litellm_params: {model: openai/gpt-4o, api_key: os.environ/NO_SUCH_KEY_A}\n" +
	"- model_name: b\n  litellm_params: {model: anthropic/claude-sonnet-4-5}\n" +
	"- model_name: c\n  litellm_params: {model: openai/x, api_base: os.environ/NO_SUCH_ADDRESS}\n"

func TestAConfigurationIsWrittenWhereNoKeyIs(t *testing.T) {
	t.Setenv("ANTHROPIC_API_KEY", "")
	code, out, errs := written(t, keyed, "--ca-bundle", "/etc/ssl/certs/ca-certificates.crt")
	if code != 0 || !strings.Contains(out, "address: api.openai.com") || !strings.Contains(out, "address: api.anthropic.com") {
		t.Fatalf("exit %d: %s\n%s", code, errs, out)
	}
	if !strings.Contains(errs, "$NO_SUCH_ADDRESS is not set: this deployment is left out") || strings.Contains(errs, "NO_SUCH_KEY") {
		t.Errorf("it says:\n%s", errs)
	}
	t.Setenv("NO_SUCH_KEY_A", "sk-canary")
	_, again, _ := written(t, keyed, "--ca-bundle", "/etc/ssl/certs/ca-certificates.crt")
	if _, body, _ := strings.Cut(out, "\n"); !strings.HasSuffix(again, body) {
		t.Error("with the key another configuration is written")
	}
	if strings.Contains(again, "canary") {
		t.Error("the key is in it")
	}
	envoytest.Validate(t, envoytest.Envoy(t, "1.40.0"), []byte(again))
}

func TestTheFirstLineSaysHowItWasWritten(t *testing.T) {
	_, out, _ := written(t, keyed, "--access-log", "", "--listen", "[::1]:4000")
	first, _, _ := strings.Cut(out, "\n")
	if !strings.HasPrefix(first, "# Written by: isthmus envoy --config ") ||
		!strings.HasSuffix(first, " --access-log '' --listen '[::1]:4000'") {
		t.Error(first)
	}
}

func TestWhatCannotBeWrittenSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"an unknown format":         {[]string{"--format", "helm"}, "--format helm: want bootstrap, filters or istio"},
		"a flag of another format":  {[]string{"--format", "istio", "--listen", ":1"}, "--listen is for --format bootstrap, not istio"},
		"Istio's flag for an Envoy": {[]string{"--namespace", "x"}, "--namespace is for --format istio, not bootstrap"},
		"an Envoy's version for Istio": {[]string{"--format", "istio", "--envoy-version", "1.39"},
			"--envoy-version is for --format bootstrap or filters, not istio"},
		"an old Envoy": {[]string{"--envoy-version", "1.20"}, "--envoy-version: Envoy 1.20 is too old"},
		"an old Istio": {[]string{"--format", "istio", "--domain", "a.b", "--istio-version", "1.20"},
			"--istio-version: Istio 1.20 is too old"},
		"no address":                  {[]string{"--listen", "localhost"}, "--listen: "},
		"no address of Envoy's admin": {[]string{"--admin", "x"}, "--admin: "},
		"no address of the service":   {[]string{"--processor", "x"}, "--processor: "},
		"parts without a domain":      {[]string{"--format", "filters"}, "no domain"},
		"a mesh without a domain":     {[]string{"--format", "istio"}, "no domain"},
		"a domain that is none":       {[]string{"--format", "filters", "--domain", "https://x"}, `domain "https://x"`},
		"a selector that is none": {[]string{"--format", "istio", "--domain", "a.b", "--gateway-selector", "ingress"},
			`--gateway-selector "ingress": want name=value`},
		"no selector":         {[]string{"--format", "istio", "--domain", "a.b", "--gateway-selector", ""}, "no selector"},
		"a port that is none": {[]string{"--format", "istio", "--domain", "a.b", "--gateway-port", "70000"}, "--gateway-port 70000"},
		"a namespace that is left empty": {[]string{"--format", "istio", "--domain", "a.b", "--namespace", "", "--processor", "x:1"},
			"no namespace"},
	} {
		if code, out, errs := written(t, keyed, tc.args...); code != 1 || !strings.Contains(errs, tc.want) || out != "" {
			t.Errorf("%s: exit %d, %q; want …%s…", name, code, errs, tc.want)
		}
	}
}

// TestTheDocumentSaysHowManyDeploymentsAResourceHolds: a cluster that has no room for the
// EnvoyFilter refuses it.
func TestTheDocumentSaysHowManyDeploymentsAResourceHolds(t *testing.T) {
	text, err := os.ReadFile("../../docs/istio.md")
	if err != nil {
		t.Fatal(err)
	}
	says := regexp.MustCompile(`about (\d+) such\s+pairs on Istio 1\.29 to 1\.31, and (\d+) on 1\.28; half`).FindSubmatch(text)
	if says == nil {
		t.Fatal("docs/istio.md does not say how many deployments a resource holds")
	}
	for version, documented := range map[string][]byte{"1.31": says[1], "1.28": says[2]} {
		for times, share := range map[string]float64{"": 1, ", timeout: 5": 0.5} {
			want, _ := strconv.ParseFloat(string(documented), 64)
			got := 1e6 / bytesOfADeployment(t, version, times)
			if want *= share; got < 0.85*want || got > 1.15*want {
				t.Errorf("on Istio %s, with the times %q of one of two, a resource holds %.0f deployments, and the document says %.0f",
					version, times, got, want)
			}
		}
	}
}

// bytesOfADeployment is what an Istio's EnvoyFilter has for each of many deployments, in
// groups of two of which the first has these times.
func bytesOfADeployment(t *testing.T, version, times string) float64 {
	t.Helper()
	const groups = 10
	var config strings.Builder
	config.WriteString("model_list:\n")
	for i := range groups {
		for j, more := range []string{times, ""} {
			fmt.Fprintf(&config, "- {model_name: model-%d, litellm_params: {model: openai/gpt-%d, api_base: 'https://api%d.example.com/v1', "+
				"api_key: k%s}}\n", i, i, j, more)
		}
	}
	code, out, errs := written(t, config.String(), "--format", "istio", "--istio-version", version, "--domain", "llm.example.com",
		"--namespace", "istio-ingress", "--gateway-selector", "istio=ingress", "--gateway", "istio-ingress/llm",
		"--processor", "isthmus.llm.svc.cluster.local:9100")
	if code != 0 {
		t.Fatal(errs)
	}
	longest := 0
	for document := range strings.SplitSeq(out, "\n---\n") {
		var resource any
		if err := yaml.Unmarshal([]byte(document), &resource); err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(resource) // as Kubernetes keeps it
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, len(asJSON))
	}
	return float64(longest) / (2 * groups)
}
