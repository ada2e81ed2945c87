package cli

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/process"
)

func TestThePauseBeforeARestartGrowsAndBeginsAnewAfterAWhile(t *testing.T) {
	for name, tc := range map[string]struct {
		jitter float64
		served []time.Duration
		want   time.Duration // of the last
	}{
		"the first is short":                     {1, []time.Duration{0}, 100 * time.Millisecond},
		"each is twice the one before":           {1, []time.Duration{0, 0, time.Second, 0}, 800 * time.Millisecond},
		"at most half of it is left to chance":   {0, []time.Duration{0, 0, 0, 0}, 400 * time.Millisecond},
		"it is bounded":                          {1, make([]time.Duration, 40), 30 * time.Second},
		"one that served for a while begins new": {1, []time.Duration{0, 0, 0, time.Minute}, 100 * time.Millisecond},
	} {
		p := &restartPause{jitter: func() float64 { return tc.jitter }}
		var got time.Duration
		for _, served := range tc.served {
			got = p.after(served)
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

// fragileEnvoy is an Envoy that is the real one as long as a file is not there, and
// else one that ends before it is ready.
func fragileEnvoy(t *testing.T) (path, broken string) {
	t.Helper()
	dir := t.TempDir()
	path, broken = filepath.Join(dir, "envoy"), filepath.Join(dir, "broken")
	text := "#!/bin/sh\nif [ \"$1\" != --version ] && [ -e " + broken + " ]; then echo 'critical out of order' >&2; exit 3; fi\nexec " + envoyBinary(t) + " \"$@\"\n"
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, broken
}

func TestWhileEnvoyIsAwayTheGatewaySaysSoAndGoesOnTrying(t *testing.T) {
	path, broken := fragileEnvoy(t)
	s := startStack(t, "model_list:\n"+entry("m", newProvider(t, openAI).base(), "")+"general_settings: {set_verbose: true}\n", "--envoy", path)
	touch(t, broken)
	if err := syscall.Kill(lastEnvoy(t, s.stderr, 1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, 60*time.Second, "several starts have failed", func() bool { return s.metric("isthmus_envoy_restarts_total") >= 3 })
	if !strings.Contains(s.stderr.String(), "out of order") {
		t.Error("the log does not have Envoy's last words")
	}
	if status := s.adminStatus("/health/readiness"); status != http.StatusServiceUnavailable {
		t.Errorf("readiness is %d while Envoy is away", status)
	}
	if health := s.adminGet("/health"); !strings.Contains(health, `"down_since"`) {
		t.Errorf("health says nothing of Envoy: %s", health)
	}
	if page := s.adminGet("/status/snapshot"); !strings.Contains(page, "starting again") {
		t.Errorf("the status page says nothing of Envoy: %s", page)
	}
	if err := os.Remove(broken); err != nil {
		t.Fatal(err)
	}
	await(t, 90*time.Second, "Envoy is back", func() bool { return s.adminStatus("/health/readiness") == http.StatusOK })
	if got := s.post("/v1/chat/completions", ask); got.status != http.StatusOK {
		t.Errorf("the next request: %d %s", got.status, got.body)
	}
}

func TestASignalWhileEnvoyIsAwayEndsTheCommand(t *testing.T) {
	path, broken := fragileEnvoy(t)
	s := startStack(t, "model_list:\n"+entry("m", newProvider(t, openAI).base(), "")+"general_settings: {set_verbose: true}\n", "--envoy", path)
	touch(t, broken)
	if err := syscall.Kill(lastEnvoy(t, s.stderr, 1), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, 60*time.Second, "a start has failed", func() bool { return strings.Contains(s.stderr.String(), "out of order") })
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAnEnvoyThatWasNeverReadyEndsTheCommandWithItsLastWords(t *testing.T) {
	path, broken := fragileEnvoy(t)
	touch(t, broken)
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte("model_list:\n"+entry("m", "http://127.0.0.1:1/v1", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr output
	code := dispatch(t.Context(), []string{"run", "--config", config, "--port", freePort(t), "--envoy", path}, &stdout, &stderr)
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
func (s *stack) adminStatus(path string) int {
	s.t.Helper()
	resp, err := http.Get(s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// envoyBinary is the Envoy that the gateways of these tests run.
func envoyBinary(t *testing.T) string {
	t.Helper()
	b, err := process.Finder{}.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.Path
}
