package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests here run real clients, unchanged but for the base URL, through a real
// Envoy to scripted providers. A script in testdata/sdk makes its checks one by
// one and says on each line of its output how one went.

const gatewayKey = "sk-gateway"

// sdkConfig is a model list with a model at each provider.
func sdkConfig(t *testing.T) string {
	t.Helper()
	openai := newScripted(t, openAIFormat{key: "key-openai"})
	azure := newScripted(t, openAIFormat{key: "key-azure", azure: true})
	anthropic := newScripted(t, anthropicFormat{key: "key-anthropic"})
	gemini := newScripted(t, geminiFormat{key: "key-gemini"})
	ollama := newScripted(t, ollamaFormat{key: "key-ollama"})
	list := "model_list:\n"
	add := func(name, model, key, base string) {
		list += fmt.Sprintf("- model_name: %s\n  litellm_params: {model: %q, api_key: %s, api_base: %q}\n", name, model, key, base)
	}
	add("openai", "openai/gpt-4o", "key-openai", openai.base())
	add("azure", "azure/prod", "key-azure", azure.URL)
	add("anthropic", "anthropic/claude-sonnet-4-5", "key-anthropic", anthropic.URL)
	add("gemini", "gemini/gemini-3-pro-preview", "key-gemini", gemini.URL+"/v1beta")
	add("gemini-2.5", "gemini/gemini-2.5-flash", "key-gemini", gemini.URL+"/v1beta")
	add("ollama", "ollama/qwen3:8b", "key-ollama", ollama.URL)
	add("embed-openai", "openai/text-embedding-3-small", "key-openai", openai.base())
	add("embed-azure", "azure/prod", "key-azure", azure.URL)
	add("embed-gemini", "gemini/gemini-embedding-001", "key-gemini", gemini.URL+"/v1beta")
	add("embed-ollama", "ollama/nomic-embed-text", "key-ollama", ollama.URL)
	return list + "router_settings: {num_retries: 0}\ngeneral_settings: {master_key: " + gatewayKey + "}\n"
}

func TestSDK(t *testing.T) {
	s := startStack(t, sdkConfig(t))
	for name, command := range map[string][]string{
		"python, the essentials": {python(t), "essentials.py"},
		"python, the errors":     {python(t), "errors.py"},
		"python, an agent":       {python(t), "agent.py"},
		"python, langchain":      {python(t), "with_langchain.py"},
		"node":                   {node(t), "essentials.mjs"},
	} {
		t.Run(name, func(t *testing.T) { s.runScript(t, command...) })
	}
}

// python is the interpreter that has the SDKs.
func python(t *testing.T) string {
	t.Helper()
	return installed(t, ".cache/venv/bin/python")
}

// node is the Node interpreter, once its SDK is there.
func node(t *testing.T) string {
	t.Helper()
	installed(t, ".cache/node/node_modules/openai/package.json")
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	return path
}

// installed returns the absolute path of what .ci/deps puts into the repository's
// cache.
func installed(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(full); err != nil {
		t.Fatalf("%v: run make deps", err)
	}
	return full
}

// check is a line of a script's output: what was tried, and what was wrong.
type check struct{ Check, Error string }

// runScript runs a client's script against the gateway; each of its checks is a
// subtest.
func (s *stack) runScript(t *testing.T, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = "testdata/sdk"
	// Only what is named: no key or proxy of the machine's takes part.
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1", "LANGSMITH_TRACING=false",
		"GATEWAY_URL=" + s.url, "GATEWAY_KEY=" + gatewayKey, "NODE_SDK=" + filepath.Dir(filepath.Dir(filepath.Dir(installed(t, ".cache/node/node_modules/openai/package.json")))),
		"ADMIN_URL=" + s.admin, "BROWSER_MODULES=" + installed(t, ".cache/browser/node_modules"),
	}
	var stderr output
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	checks := 0
	lines := bufio.NewScanner(strings.NewReader(string(stdout)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c check
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil || c.Check == "" {
			t.Errorf("the script says %s", lines.Text())
			continue
		}
		checks++
		t.Run(c.Check, func(t *testing.T) {
			if c.Error != "" {
				t.Error(c.Error)
			}
		})
	}
	if err != nil || checks == 0 {
		t.Errorf("%s ended after %d checks: %v\n%s", strings.Join(slices.Clip(command[1:]), " "), checks, err, stderr.String())
	}
}
