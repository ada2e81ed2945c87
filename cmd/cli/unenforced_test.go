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
func restricting() string {
	return oneModel + "general_settings: {allowed_ips: [10.0.0.1]}\nguardrails: [{guardrail_name: pii}]\n"
}

func TestNoCommandGoesOnWithoutWhatRestricts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(restricting()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run"}, {"serve", "--listen", "127.0.0.1:0"}, {"check"}, {"check", "--report"}, {"envoy"}} {
		for names, want := range map[string]string{
			"":                      ":4: general_settings.allowed_ips: ",
			"allowed_ips":           ":5: guardrails: ",
			"allowed_ips,guardrail": "--allow-unenforced guardrail: no such name; those of this config are guardrails",
		} {
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), append(args, "--config", path, "--allow-unenforced", names), &stdout, &stderr)
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
		if code := Run(t.Context(), append(args, "--config", path, "--allow-unenforced", "allowed_ips,guardrails"), &stdout, &stderr); code != 0 {
			t.Errorf("isthmus %s: exit %d\n%s%s", args, code, stdout.String(), stderr.String())
		} else if !strings.Contains(stdout.String()+stderr.String(), "NOT ENFORCED") {
			t.Errorf("isthmus %s says nothing of it", args)
		}
	}
}

func TestTheReportForPrograms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(restricting()), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), []string{"check", "--report=json", "--config", path}, &stdout, &stderr)
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
	if code := Run(t.Context(), []string{"check", "--report=xml", "--config", path}, &stdout, &stderr); code != 2 {
		t.Errorf("another format: exit %d", code)
	}
}
