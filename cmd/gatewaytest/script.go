package gatewaytest

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// Python is the path of the Python that has the SDKs.
func Python(t *testing.T) string {
	t.Helper()
	return installed(t, ".cache/venv/bin/python")
}

// Node is the path of Node; its SDK is there, too.
func Node(t *testing.T) string {
	t.Helper()
	installed(t, ".cache/node/node_modules/openai/package.json")
	path, err := exec.LookPath("node")
	if err != nil {
		testring.Lacks(t, "Node")
	}
	return path
}

// installed returns the absolute path of what .ci/deps puts into the repository's
// cache.
func installed(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join(Repository(t), path)
	if _, err := os.Stat(full); err != nil {
		testring.Lacks(t, path)
	}
	return full
}

// check is a line of a script's output: what was tried, and what was wrong.
type check struct{ Check, Error string }

// RunScript runs a script in the folder testdata of the package against the gateway:
// an interpreter and its arguments. The script has the URLs and the key in its
// environment, and writes a line of JSON for each of its checks, which is a subtest.
func (g *Gateway) RunScript(t *testing.T, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = "testdata"
	// Only what is named: no key or proxy of the machine'g takes part.
	sdk := filepath.Join(installed(t, ".cache/node/node_modules/openai/package.json"), "../../..")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1", "LANGSMITH_TRACING=false",
		"GATEWAY_URL=" + g.URL, "GATEWAY_KEY=" + MasterKey, "ADMIN_URL=" + g.Admin,
		"NODE_SDK=" + sdk, "BROWSER_MODULES=" + installed(t, ".cache/browser/node_modules"),
	}
	var stderr asynctest.Text
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
