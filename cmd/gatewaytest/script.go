package gatewaytest

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// Libraries is where .ci/deps has installed the official SDKs: a folder of the
// repository.
type Libraries string

// The SDKs that scripts may run with.
const (
	Pinned Libraries = ".cache"        // the releases of .ci/requirements.txt and .ci/node
	Newest Libraries = ".cache/newest" // the newest: a test of the ring compat
)

// in is the absolute path of something of the libraries.
func (l Libraries) in(t *testing.T, path string) string {
	t.Helper()
	return testring.File(t, filepath.Join(Repository(t), string(l), path))
}

// RunPython runs a Python script in the folder testdata of the package against the
// gateway. The script has the URLs and the key in its environment, and writes a line of
// JSON for each of its checks, which is a subtest.
func (g *Gateway) RunPython(t *testing.T, l Libraries, script string) {
	t.Helper()
	g.runScript(t, l.in(t, "venv/bin/python"), script)
}

// RunNode is [Gateway.RunPython] for a script of Node, which finds the modules of the
// SDK and of the browser's driver by its environment.
func (g *Gateway) RunNode(t *testing.T, l Libraries, script string) {
	t.Helper()
	l.in(t, "node/node_modules/openai")
	g.runScript(t, testring.Program(t, "node"), script, "NODE_SDK="+l.in(t, "node"), "BROWSER_MODULES="+Pinned.in(t, "browser/node_modules"))
}

// check is a line of a script's output: what was tried, and what was wrong.
type check struct{ Check, Error string }

func (g *Gateway) runScript(t *testing.T, interpreter, script string, environment ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, script)
	cmd.Dir = "testdata"
	// Only what is named: no key or proxy of the machine's takes part.
	cmd.Env = append(environment,
		"PATH="+os.Getenv("PATH"), "HOME="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1", "LANGSMITH_TRACING=false",
		"GATEWAY_URL="+g.URL, "GATEWAY_KEY="+MasterKey, "ADMIN_URL="+g.Admin)
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
		t.Errorf("%s ended after %d checks: %v\n%s", script, checks, err, stderr.String())
	}
}
