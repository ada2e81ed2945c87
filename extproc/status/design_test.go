package status

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

var (
	update   = flag.Bool("update", false, "draw docs/status.png anew")
	pictures = flag.String("pictures", "", "a `FOLDER` for pictures of the page in each of its guises")
)

// TestTheDesignHolds shows made-up scenes in a real browser: light, dark, narrow
// and with 200 deployments. testdata/design.mjs looks for what is cut off, too
// faint or cannot be reached.
func TestTheDesignHolds(t *testing.T) {
	serve := func(deployments int) string {
		s := newScene(deployments)
		server := httptest.NewServer(NewHandler(Options{
			Board: s.board, Draining: func() bool { return false }, Refuse: func(http.ResponseWriter, *http.Request) bool { return false },
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	modules, err := filepath.Abs("../../.cache/browser/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	testring.Program(t, "chromium")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testring.Program(t, "node"), "testdata/design.mjs")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "BROWSER_MODULES=" + testring.File(t, modules), "PICTURES=" + *pictures,
		"FEW_URL=" + serve(0), "MANY_URL=" + serve(200),
	}
	if *update {
		cmd.Env = append(cmd.Env, "PICTURE=../../docs/status.png")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	checks := 0
	for lines := bufio.NewScanner(strings.NewReader(string(stdout))); lines.Scan(); checks++ {
		var c struct{ Check, Error string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil || c.Check == "" {
			t.Fatalf("the script says %s", lines.Text())
		}
		t.Run(c.Check, func(t *testing.T) {
			if c.Error != "" {
				t.Error(c.Error)
			}
		})
	}
	if err != nil || checks == 0 {
		t.Errorf("the script ended after %d checks: %v (run make deps)\n%s", checks, err, stderr.String())
	}
}
