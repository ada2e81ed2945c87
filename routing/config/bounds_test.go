package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/routing/config"
)

// folder writes files and returns where they are.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A pipe that nobody writes to held the process up for ever, and a device without
// end took all memory.
func TestOnlyFilesAreReadAndOthersAreNamed(t *testing.T) {
	dir := folder(t, map[string]string{
		"config.yaml": oneModel,
		"pipe.yaml":   "include: [pipe]\n" + oneModel,
		"zero.yaml":   "include: [/dev/zero]\n" + oneModel,
		"folder.yaml": "include: [.]\n" + oneModel,
		"large.yaml":  "include: [large]\n" + oneModel,
		"large":       strings.Repeat("#\n", 9<<20),
	})
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ config, env, want string }{
		{"pipe.yaml", "", "pipe.yaml:1: include[0]: cannot include: read " + pipe + ": it is a pipe: want a regular file"},
		{"zero.yaml", "", "cannot include: read /dev/zero: it is a device"},
		{"folder.yaml", "", "cannot include: read " + dir + ": it is a directory"},
		{"large.yaml", "", "large: it is larger than 16 MiB"},
		{"pipe", "", "read the model config: read " + pipe + ": it is a pipe"},
		{"config.yaml", pipe, "read the env file: read " + pipe + ": it is a pipe"},
		{"config.yaml", "/dev/zero", "read the env file: read /dev/zero: it is a device"},
	} {
		_, _, err := config.Load(config.Options{Path: filepath.Join(dir, tc.config), EnvFile: tc.env, Lookup: environ(nil)})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want …%s…", tc.config, err, tc.want)
		}
	}
}

// Another file than was meant may hold secrets, and the error goes to a log.
func TestAFileThatIsNoConfigIsNotQuoted(t *testing.T) {
	for name, text := range map[string]string{
		"text":              "canary",
		"a key":             "sk-canary0123456789",
		"lines":             "canary canary\ncanary\n",
		"a list":            "- canary\n",
		"an alias":          "*canary",
		"an alias in a map": "a: *canary\n",
		"no YAML":           "canary: {canary: [\n",
		"a tag":             "!!canary,x! y: z: canary\n",
		"a binary":          "\x00canary\x01",
		"no UTF-8":          "canary: \xff\xfe",
	} {
		dir := folder(t, map[string]string{"config.yaml": "include: [other]\n" + oneModel, "other": text})
		for _, path := range []string{"config.yaml", "other"} {
			_, _, err := config.Load(config.Options{Path: filepath.Join(dir, path), Lookup: environ(nil)})
			if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "other:") {
				t.Errorf("%s: %v, want an error that names the file alone", name, err)
			}
		}
	}
	dir := folder(t, map[string]string{"config.yaml": oneModel, ".env": "canary='x\n"})
	_, _, err := config.Load(config.Options{Path: filepath.Join(dir, "config.yaml"), Lookup: environ(nil)})
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), ".env:1") {
		t.Errorf("an env file: %v", err)
	}
}

// Whatever aliases stand for, reading ends.
func TestSoakAliasesThatMultiplyAreRefused(t *testing.T) {
	testring.Soak(t, "takes many seconds of processor time, under the race detector")
	bomb := func(first, each, last string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "a0: &a0 %s\n", first)
		for i := range 9 {
			fmt.Fprintf(&b, "a%d: &a%d %s\n", i+1, i+1, strings.ReplaceAll(each, "X", fmt.Sprintf("*a%d", i)))
		}
		return b.String() + strings.ReplaceAll(last, "X", "*a9")
	}
	const list = "[X, X, X, X, X, X, X, X, X, X]"
	entry := "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: 'http://h/v1', p: X}\n"
	for name, text := range map[string]string{
		"lists in a parameter":    bomb("[x]", list, entry),
		"mappings in a parameter": bomb("{x: y}", "{a: X, b: X, c: X, d: X, e: X, f: X, g: X, h: X}", entry),
		"merges": bomb("{x: y}", "{<<: "+list+"}",
			"model_list:\n- model_name: m\n  litellm_params:\n    <<: X\n    model: ollama/m\n"),
		"an unknown section": bomb("{x: y}", "{a: X, b: X, c: X, d: X, e: X, f: X, g: X, h: X}", oneModel+"unknown: {x: X}\n"),
		"a list in itself": "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: 'http://h/v1', p: &p " +
			"[*p, *p]}\n",
		"a mapping in itself": oneModel + "unknown: {x: {y: &p {a: *p, b: *p, c: *p}}}\n",
		"long texts in a parameter": "long: &l " + strings.Repeat("x", 1<<20) + "\nmany: &m " + strings.ReplaceAll(list, "X", "*l") +
			"\n" + strings.ReplaceAll(entry, "X", strings.ReplaceAll(list, "X", "*m")),
	} {
		_, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil)})
		if name == "an unknown section" || name == "a mapping in itself" || name == "merges" {
			continue // what anchors and merges hold is looked at once: it has ended
		}
		if err == nil || !strings.Contains(err.Error(), "many times over") && !strings.Contains(err.Error(), "nested too deeply, or too long") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeepNestingIsAnErrorOrReadToItsEnd(t *testing.T) {
	for name, text := range map[string]string{
		"of a parameter": "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: 'http://h/v1', p: " +
			strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}\n",
		"beyond YAML's": oneModel + "x: " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "\n",
		"of blocks":     oneModel + "x:\n  " + strings.Repeat("- ", 100_000) + "y\n",
		"of a parameter's mappings": "model_list:\n- model_name: m\n  litellm_params: {model: custom_openai/m, api_base: 'http://h/v1', p: " +
			strings.Repeat("{a: ", 5000) + "1" + strings.Repeat("}", 5000) + "}\n",
	} {
		if _, _, err := config.Parse("c.yaml", []byte(text), config.Options{Lookup: environ(nil)}); err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 10_000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
}

func TestFilesThatIncludeOneAnotherManyTimesAreRefused(t *testing.T) {
	files := map[string]string{"f12.yaml": oneModel}
	for i := range 12 {
		files[fmt.Sprintf("f%d.yaml", i)] = fmt.Sprintf("include: [f%d.yaml, f%d.yaml]\n", i+1, i+1) + oneModel
	}
	_, _, err := config.Load(config.Options{Path: filepath.Join(folder(t, files), "f0.yaml"), Lookup: environ(nil)})
	if err == nil || !strings.Contains(err.Error(), "more than 1000 files are included") {
		t.Errorf("%.300v", err)
	}
}
