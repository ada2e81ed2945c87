package reload

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// fragileEnvoy is an Envoy that is the real one as long as a file is not there, and
// else one that ends before it is ready.
func fragileEnvoy(t *testing.T) (path, broken string) {
	t.Helper()
	dir := t.TempDir()
	path, broken = filepath.Join(dir, "envoy"), filepath.Join(dir, "broken")
	text := "#!/bin/sh\nif [ \"$1\" != --version ] && [ -e " + broken + " ]; then echo 'critical out of order' >&2; exit 3; fi\nexec " +
		gatewaytest.EnvoyPath(t) + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, broken
}

func TestWhileEnvoyIsAwayTheGatewaySaysSoAndGoesOnTrying(t *testing.T) {
	t.Parallel()
	path, broken := fragileEnvoy(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		"general_settings: {set_verbose: true}\n", "--envoy", path)
	touch(t, broken)
	if err := syscall.Kill(lastEnvoy(t, s.Stderr, 1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "several starts have failed",
		func() bool { return s.Metric("isthmus_envoy_restarts_total") >= 3 })
	if !strings.Contains(s.Stderr.String(), "out of order") {
		t.Error("the log does not have Envoy's last words")
	}
	if status := adminStatus(s, "/health/readiness"); status != http.StatusServiceUnavailable {
		t.Errorf("readiness is %d while Envoy is away", status)
	}
	if health := s.AdminGet("/health"); !strings.Contains(health, `"down_since"`) {
		t.Errorf("health says nothing of Envoy: %s", health)
	}
	if page := s.AdminGet("/status/snapshot"); !strings.Contains(page, "starting again") {
		t.Errorf("the status page says nothing of Envoy: %s", page)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "Envoy is back", func() bool { return adminStatus(s, "/health/readiness") == http.StatusOK })
	if got := s.Post("/v1/chat/completions", gatewaytest.Ask); got.Status != http.StatusOK {
		t.Errorf("the next request: %d %s", got.Status, got.Body)
	}
}

func TestASignalWhileEnvoyIsAwayEndsTheCommand(t *testing.T) {
	path, broken := fragileEnvoy(t)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.OpenAI).Base(), "")+
		"general_settings: {set_verbose: true}\n", "--envoy", path)
	touch(t, broken)
	if err := syscall.Kill(lastEnvoy(t, s.Stderr, 1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "a start has failed", func() bool { return strings.Contains(s.Stderr.String(), "out of order") })
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnEnvoyThatWasNeverReadyEndsTheCommandWithItsLastWords(t *testing.T) {
	path, broken := fragileEnvoy(t)
	touch(t, broken)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte("model_list:\n"+gatewaytest.Entry("m", "http://127.0.0.1:1/v1", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr asynctest.Text
	code := cli.Run(t.Context(), []string{"run", "--config", config, "--port", asynctest.FreePort(t), "--envoy", path}, &stdout, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "Envoy ended (exit status 3): critical out of order") {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// adminStatus is the status of a page of the admin port.
func adminStatus(s *gatewaytest.Gateway, path string) int {
	s.T.Helper()
	resp, err := http.Get(s.Admin + path)
	if err != nil {
		s.T.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
