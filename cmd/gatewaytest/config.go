package gatewaytest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Parts of model configs.
const (
	// Cached are settings of a gateway that keeps answers in its own memory.
	Cached = "general_settings: {cache: true, cache_params: {type: local, ttl: 600}}\n"
	// PatientRedis is a line of general_settings for a machine that may keep Redis from
	// running for longer than it takes to count as gone.
	PatientRedis = "  redis_timeout: 4\n"
	// MasterKey is the master key of the gateways that clients' libraries talk to.
	MasterKey = "sk-gateway"
)

// Entry is a model_list entry of a deployment in OpenAI's format at this api_base;
// more are members besides: ", rpm: 5".
func Entry(model, base, more string) string {
	return fmt.Sprintf("- model_name: %s\n  litellm_params: {model: openai/up, api_key: sk-provider, api_base: %q%s}\n", model, base, more)
}

// GuideBlock is a YAML block of the guide, as written, by the name of its file.
func GuideBlock(t testing.TB, name string) string {
	t.Helper()
	return ReadFile(t, filepath.Join(Repository(t), "routing/config/testdata/guide", name))
}

// Repository is the folder of this module: the nearest above the test's own that has a
// go.mod.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no folder above has a go.mod")
		}
		dir = up
	}
}

// ReadFile is the text of a file.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// SecretFile is a new file with these lines.
func SecretFile(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
