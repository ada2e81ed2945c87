package callbacktest

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // for listTraces
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

// venv is where .ci/deps installs MLflow: it is found from any folder of the
// repository.
func venv(t testing.TB, program string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("this is not the repository")
		}
	}
	return testring.File(t, filepath.Join(dir, ".cache/mlflow-venv/bin", program))
}

// StartMLflow starts a real MLflow tracking server with a store of its own and
// returns its address. It ends with the test.
func StartMLflow(t testing.TB) string {
	t.Helper()
	folder, port := t.TempDir(), asynctest.FreePort(t)
	var output bytes.Buffer
	cmd := exec.Command(venv(t, "mlflow"), "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+folder+"/mlflow.db", "--default-artifact-root", folder+"/artifacts")
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true",
		"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false") // a dozen processes that no trace needs
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts processes of its own
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	address := "http://127.0.0.1:" + port
	if err := waitFor(t.Context(), address+"/health", ended); err != nil {
		t.Fatalf("MLflow does not start: %v", err)
	}
	return address
}

func waitFor(ctx context.Context, url string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("it has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Trace is a trace as MLflow's own Python client shows it.
type Trace struct {
	Experiment      string            `json:"experiment"`
	Spans           int               `json:"spans"`
	State           string            `json:"state"`
	StartMs         int64             `json:"start_ms"`
	DurationMs      int64             `json:"duration_ms"`
	Usage           map[string]int    `json:"usage"`
	Tags            map[string]string `json:"tags"`
	Metadata        map[string]string `json:"metadata"`
	RequestPreview  string            `json:"request_preview"`
	ResponsePreview string            `json:"response_preview"`
	Name            string            `json:"name"`
	Type            string            `json:"type"`
	Inputs          jsontext.Value    `json:"inputs"`
	Outputs         jsontext.Value    `json:"outputs"`
	Status          string            `json:"status"`
	Description     string            `json:"description"`
	Events          []TraceEvent      `json:"events"`
	Attributes      struct {
		Model     string         `json:"model"`
		LLMModel  string         `json:"mlflow.llm.model"`
		Provider  string         `json:"mlflow.llm.provider"`
		Group     string         `json:"model_group"`
		CacheHit  bool           `json:"cache_hit"`
		Aborted   string         `json:"aborted"`
		Attempts  jsontext.Value `json:"attempts"`
		SessionID string         `json:"session.id"`
	} `json:"attributes"`
}

// TraceEvent is an event of a trace's span.
type TraceEvent struct {
	Name       string            `json:"name"`
	Attributes map[string]string `json:"attributes"`
}

//go:embed traces.py
var listTraces string

// Traces lists the traces of an experiment by call id.
func Traces(t testing.TB, address, experiment string) map[string]Trace {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var errors bytes.Buffer
	cmd := exec.CommandContext(ctx, venv(t, "python"), "-c", listTraces, address, experiment)
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true",
		"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false") // a dozen processes that no trace needs
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("search traces: %v\n%s", err, errors.String())
	}
	found := map[string]Trace{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var s Trace
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if _, twice := found[s.Tags["litellm_call_id"]]; twice {
			t.Errorf("two traces of %s", s.Tags["litellm_call_id"])
		}
		found[s.Tags["litellm_call_id"]] = s
	}
	return found
}
