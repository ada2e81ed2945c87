package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// restricting is a config that restricts in two ways.
func restricting(models string) string {
	return "model_list:\n" + models + "general_settings: {allowed_ips: [10.0.0.1]}\nguardrails: [{guardrail_name: pii}]\n"
}

func TestNoCommandGoesOnWithoutWhatRestricts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(restricting(entry("m", "http://127.0.0.1:1/v1", ""))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run"}, {"serve", "--listen", "127.0.0.1:0"}, {"check"}, {"check", "--report"}, {"envoy"}} {
		for names, want := range map[string]string{
			"":                      ":4: general_settings.allowed_ips: ",
			"allowed_ips":           ":5: guardrails: ",
			"allowed_ips,guardrail": "--allow-unenforced guardrail: no such name; those of this config are guardrails",
		} {
			var stdout, stderr bytes.Buffer
			code := dispatch(t.Context(), append(args, "--config", path, "--allow-unenforced", names), &stdout, &stderr)
			if args[len(args)-1] == "--report" {
				want = strings.TrimSuffix(want, ": ") // its remedy is on a line of its own
				want = strings.TrimPrefix(want, "--allow-unenforced guardrail: ")
			}
			if code != 1 || !strings.Contains(stdout.String()+stderr.String(), want) {
				t.Errorf("isthmus %s with %q: exit %d\n%s%s", args, names, code, stdout.String(), stderr.String())
			}
		}
	}
	for _, args := range [][]string{{"check"}, {"check", "--report"}, {"envoy"}} {
		var stdout, stderr bytes.Buffer
		if code := dispatch(t.Context(), append(args, "--config", path, "--allow-unenforced", "allowed_ips,guardrails"), &stdout, &stderr); code != 0 {
			t.Errorf("isthmus %s: exit %d\n%s%s", args, code, stdout.String(), stderr.String())
		} else if !strings.Contains(stdout.String()+stderr.String(), "NOT ENFORCED") {
			t.Errorf("isthmus %s says nothing of it", args)
		}
	}
}

func TestTheReportForPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(restricting(entry("m", "http://127.0.0.1:1/v1", ""))), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := dispatch(t.Context(), []string{"check", "--report=json", "--config", path}, &stdout, &stderr)
	var report struct {
		Refused []struct {
			Key  string
			Line int
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, stdout.String())
	}
	if code != 1 || len(report.Refused) != 2 || report.Refused[0].Key != "general_settings.allowed_ips" || report.Refused[0].Line != 4 {
		t.Errorf("exit %d: %s%s", code, stdout.String(), stderr.String())
	}
	if code := dispatch(t.Context(), []string{"check", "--report=xml", "--config", path}, &stdout, &stderr); code != 2 {
		t.Errorf("another format: exit %d", code)
	}
}

// TestAGatewayThatGoesOnWithoutARestrictionSaysSo at its start, on the status page
// and in /health, also when a reload brings it; a reload that restricts more is
// refused.
func TestAGatewayThatGoesOnWithoutARestrictionSaysSo(t *testing.T) {
	up := newProvider(t, openAI)
	models := entry("m", up.base(), "")
	s := startStack(t, restricting(models), "--allow-unenforced", "allowed_ips,guardrails")
	if got := s.post("/v1/chat/completions", ask); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if log := s.stderr.String(); !strings.Contains(log, "does not enforce them") || !strings.Contains(log, "allowed_ips") {
		t.Errorf("the log says nothing: %s", log)
	}
	health := func() string { return s.adminGet("/health") }
	if got := health(); !strings.Contains(got, `"unenforced":["allowed_ips","guardrails"]`) {
		t.Errorf("/health: %s", got)
	}
	if got := s.adminGet("/status/snapshot"); !strings.Contains(got, `"unenforced"`) || !strings.Contains(got, `"allowed_ips"`) {
		t.Errorf("the status page: %s", got)
	}
	s.write("config.yaml", restricting(models)+"policies: {a: {}}\n", refusedReload)
	s.reconfigure("model_list:\n" + models + "general_settings: {allowed_ips: [10.0.0.2]}\n")
	if got := health(); !strings.Contains(got, `"unenforced":["allowed_ips"]`) {
		t.Errorf("/health after a reload: %s", got)
	}
}
