package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGoldenReports holds the migration report of each config in testdata/report to
// the text beside it; -update rewrites it.
func TestGoldenReports(t *testing.T) {
	for name, refused := range map[string]int{"mixed": 9, "fine": 0} {
		t.Run(name, func(t *testing.T) {
			r := report(t, name)
			var b strings.Builder
			if err := r.Write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", b.String())
			text, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".json", string(text)+"\n")
			if len(r.Refused) != refused {
				t.Errorf("%d are refused, want %d", len(r.Refused), refused)
			}
			if strings.Contains(b.String()+string(text), "a-made-up-secret") {
				t.Error("a secret is told")
			}
		})
	}
}

func report(t *testing.T, name string) *Report {
	t.Helper()
	r, c, err := NewReport(Options{
		Path: "testdata/report/" + name + ".yaml", KeysElsewhere: true, Lookup: func(string) (string, bool) { return "", false },
	})
	if err != nil {
		t.Fatal(err)
	}
	if (c == nil) != (len(r.Refused) > 0) {
		t.Errorf("config %v beside %d that are refused", c, len(r.Refused))
	}
	return r
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata/report", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs from what the code says, which is:\n%s", path, got)
	}
}

// TestEveryKeyIsReportedOnce counts the lines of a file that a report names.
func TestEveryKeyIsReportedOnce(t *testing.T) {
	r := report(t, "mixed")
	seen := map[Reported]bool{}
	for _, group := range [][]Reported{r.Refused, r.Ignored, r.WorksAs, r.Works} {
		for _, k := range group {
			at := Reported{File: k.File, Line: k.Line, Key: k.Key}
			if seen[at] {
				t.Errorf("%+v is there twice", at)
			}
			seen[at] = true
		}
	}
	for _, key := range []string{"general_settings.allowed_ips", "model_list[0].litellm_params.num_ctx", "router_settings.fallbacks",
		"guardrails", "prompts", "include"} {
		found := false
		for at := range seen {
			found = found || at.Key == key
		}
		if !found {
			t.Errorf("%s is in no group", key)
		}
	}
}

func TestAFileThatIsNoConfigIsReportedToo(t *testing.T) {
	for _, text := range []string{"", "- a\n", "a: [", "model_list: 5\n", "router_settings: {num_retries: 1}\n",
		"model_list: [5]\nrouter_settings: []\n", "model_list: [{model_info: 3}]\n"} {
		r, c, err := NewReport(Options{Path: "c.yaml", Lookup: func(string) (string, bool) { return "", false },
			Read: func(path string) ([]byte, error) {
				if path == "c.yaml" {
					return []byte(text), nil
				}
				return nil, os.ErrNotExist
			}})
		if err != nil || c != nil || len(r.Refused) == 0 {
			t.Errorf("%q: %v %v %+v", text, err, c, r)
		}
	}
}

// FuzzReport: whatever the file says, each key that it has is reported, and what stops
// the start is told where reading it is an error.
func FuzzReport(f *testing.F) {
	for _, name := range []string{"mixed", "fine", "mixed-models"} {
		text, err := os.ReadFile("testdata/report/" + name + ".yaml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o := Options{Path: "c.yaml", Lookup: func(string) (string, bool) { return "", false }, Read: func(path string) ([]byte, error) {
			if path == "c.yaml" {
				return text, nil
			}
			return nil, os.ErrNotExist
		}}
		r, c, err := NewReport(o)
		if err != nil {
			t.Fatal(err)
		}
		_, _, wrong := Load(o)
		if (wrong != nil) != (len(r.Refused) > 0) || (c == nil) != (wrong != nil) {
			t.Errorf("reading it says %v, the report %+v", wrong, r.Refused)
		}
		if err := r.Write(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}

// What stands in the place of a callback's name, of a key or of a section may be a
// secret, put there by mistake; and a command's arguments often are some.
func TestAReportShowsNoSecretInTheWrongPlace(t *testing.T) {
	const canary = "sk-canary-0123456789abcdef"
	for _, text := range []string{
		"litellm_settings: {callbacks: [" + canary + "]}\n",
		"litellm_settings: {callbacks: [os.environ/SECRET]}\n",
		"litellm_settings: {callbacks: ['exec:post --key " + canary + "']}\n",
		canary + ": x\n",
		"general_settings: {" + canary + ": x}\n",
		"general_settings: 'master_key: " + canary + "'\n",
		"general_settings: 'master_key: canary'\n",
	} {
		src := "model_list:\n- {model_name: m, litellm_params: {model: ollama/m}}\n" + text
		r, _, err := NewReport(Options{Path: "c.yaml", Lookup: func(name string) (string, bool) { return canary, name == "SECRET" },
			Read: func(path string) ([]byte, error) {
				if path == "c.yaml" {
					return []byte(src), nil
				}
				return nil, os.ErrNotExist
			}})
		if err != nil {
			t.Fatal(err)
		}
		if all := fmt.Sprintf("%+v", r); strings.Contains(all, "canary") {
			t.Errorf("%s: %s", text, all)
		}
	}
}
