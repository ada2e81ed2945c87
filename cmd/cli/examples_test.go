package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/envoy"
	"github.com/isthmus-proxy/isthmus/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// exampleFiles are the files of the examples with this name, or pattern.
func exampleFiles(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../../examples", pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no examples/%s: %v", pattern, err)
	}
	for i := range paths {
		if paths[i], err = filepath.Abs(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// words splits a command as a shell does, as far as the examples need it.
func words(command string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`).FindAllStringSubmatch(command, -1) {
		out = append(out, m[1]+m[2]+m[3])
	}
	return out
}

var variables = regexp.MustCompile(`os\.environ/(\w+)`)

func TestEveryExamplesConfigIsFine(t *testing.T) {
	for _, path := range exampleFiles(t, "*/config.yaml") {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			for _, m := range variables.FindAllStringSubmatch(read(t, path), -1) {
				value := "value"
				if strings.HasSuffix(m[1], "_URL") {
					value = "http://127.0.0.1:1"
				}
				t.Setenv(m[1], value)
			}
			args := []string{"check", "--config", path}
			if example := filepath.Join(filepath.Dir(path), ".env.example"); exists(example) {
				args = append(args, "--env-file", example)
			}
			var stdout, stderr bytes.Buffer
			if code := Run(t.Context(), args, &stdout, &stderr); code != 0 || strings.Contains(stdout.String(), "warning") {
				t.Errorf("exit %d:\n%s%s", code, &stdout, &stderr)
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestEveryVariableOfTheProductionExampleIsInItsEnvExample(t *testing.T) {
	dir := filepath.Dir(exampleFiles(t, "production/config.yaml")[0])
	env := read(t, filepath.Join(dir, ".env.example"))
	for _, m := range variables.FindAllStringSubmatch(read(t, filepath.Join(dir, "config.yaml")), -1) {
		if !strings.Contains(env, "\n"+m[1]+"=") {
			t.Errorf("%s is not in .env.example", m[1])
		}
	}
}

// TestGoldenExamplesAreWhatIsthmusWrites runs the command that the first line of a
// generated file names, and asks an Envoy of that version whether it takes it.
func TestGoldenExamplesAreWhatIsthmusWrites(t *testing.T) {
	found := 0
	for _, path := range exampleFiles(t, "*/*.yaml") {
		text := read(t, path)
		first, _, _ := strings.Cut(text, "\n")
		command, ok := strings.CutPrefix(first, "# Written by: isthmus ")
		if !ok {
			continue
		}
		found++
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			t.Chdir(filepath.Dir(path))
			args := words(command)
			var stdout, stderr bytes.Buffer
			if code := Run(t.Context(), args, &stdout, &stderr); code != 0 {
				t.Fatalf("isthmus %s: exit %d: %s", command, code, &stderr)
			}
			if *update {
				if err := os.WriteFile(path, stdout.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(text, stdout.String()); diff != "" {
				t.Errorf("%s is out of date (-it is +it should be); `make golden`:\n%s", path, diff)
			}
			takes(t, args, stdout.Bytes())
		})
	}
	if found < 3 {
		t.Errorf("%d generated files in the examples, want the Envoy, its parts and Istio's", found)
	}
}

// takes asks an Envoy of the version that the arguments name.
func takes(t *testing.T, args []string, text []byte) {
	t.Helper()
	option := func(name, otherwise string) string {
		if i := slices.Index(args, "--"+name); i >= 0 {
			return args[i+1]
		}
		return otherwise
	}
	version, err := envoy.ParseVersion(option("envoy-version", envoy.Default.String()))
	if err != nil {
		t.Fatal(err)
	}
	switch option("format", "bootstrap") {
	case "bootstrap":
		envoytest.Validate(t, envoytest.Release(t, version), text)
	case "filters":
		host := envoytest.Gateway(t)
		envoytest.Paste(t, host, text)
		envoytest.Validate(t, envoytest.Release(t, version), envoytest.YAML(t, host))
	case "istio":
		istio, err := envoy.ParseIstioVersion(option("istio-version", envoy.DefaultIstio.String()))
		if err != nil {
			t.Fatal(err)
		}
		service, _, _ := strings.Cut(option("processor", ""), ":")
		host := envoytest.GatewayOf(t, option("gateway", ""), service)
		envoytest.ApplyIstio(t, host, text, istio.String()+".3")
		envoytest.Validate(t, envoytest.Release(t, istio.Envoy()), envoytest.YAML(t, host))
	}
}

func TestTheUnitOfSystemdRunsACommandThereIs(t *testing.T) {
	unit := exampleFiles(t, "production/isthmus.service")[0]
	_, command, _ := strings.Cut(read(t, unit), "ExecStart=/usr/local/bin/isthmus ")
	command, _, _ = strings.Cut(command, "\n")
	knownCommand(t, unit, command)
}

// knownCommand fails when isthmus has no such command or flag. It runs nothing:
// the flags are read before the help is asked for.
func knownCommand(t *testing.T, where, command string) {
	t.Helper()
	command, _, _ = strings.Cut(command, " #")
	var args []string
	for _, w := range words(command) {
		if w == ">" || w == "&" || w == "|" {
			break
		}
		args = append(args, w)
	}
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), append(args, "--help"), &stdout, &stderr); code != 0 {
		t.Errorf("%s: isthmus %s: %s", where, command, &stderr)
	}
}
