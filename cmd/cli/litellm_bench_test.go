package cli

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkAgainstLiteLLM puts the same load on isthmus and on LiteLLM's proxy,
// started on the same model config, in turns. It reports the processor time of a
// request at LiteLLM as a multiple of that at isthmus, Envoy included, and the
// same of the requests that a second takes. `make compare` installs the proxy and
// names it in ISTHMUS_LITELLM.
func BenchmarkAgainstLiteLLM(b *testing.B) {
	binary := os.Getenv("ISTHMUS_LITELLM")
	if binary == "" {
		b.Skip("LiteLLM is not installed: run make compare")
	}
	kilobyte := strings.Repeat("All the world is a stage. ", 35)
	for name, tc := range map[string]struct {
		body    string
		n, less int // requests to isthmus and to LiteLLM
	}{
		"blocking 1 KB":         {`{"model":"m","messages":[{"role":"user","content":"` + kilobyte + `"}]}`, 4000, 200},
		"stream of 100 chunks":  {`{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`, 400, 40},
		"blocking, in Claude's": {`{"model":"claude","messages":[{"role":"user","content":"` + kilobyte + `"}]}`, 4000, 200},
	} {
		b.Run(name, func(b *testing.B) {
			p, claude := newProvider(b, benchProvider), newProvider(b, benchClaude)
			config := "model_list:\n" + entry("m", p.base(), "") +
				"- {model_name: claude, litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: sk-claude, api_base: '" + claude.URL + "'}}\n"
			ours := startBenchOn(b, config)
			theirs, pid := startLiteLLM(b, binary, config)
			load(b, ours.url, tc.body, tc.n/10, 16) // warm connections and code
			load(b, theirs, tc.body, tc.less/2, 16)
			var cpuOurs, cpuTheirs, timeOurs, timeTheirs time.Duration
			var rounds int
			for b.Loop() {
				before, began := ours.cpu(b), time.Now()
				load(b, ours.url, tc.body, tc.n, 16)
				var used cpuTime
				used.add(before, ours.cpu(b))
				cpuOurs, timeOurs = cpuOurs+used.all(), timeOurs+time.Since(began)
				start, began := processTime(b, pid), time.Now()
				load(b, theirs, tc.body, tc.less, 16)
				cpuTheirs, timeTheirs = cpuTheirs+processTime(b, pid)-start, timeTheirs+time.Since(began)
				rounds++
			}
			each := func(t time.Duration, n int) float64 { return float64(t.Microseconds()) / float64(rounds*n) }
			b.ReportMetric(each(cpuOurs, tc.n), "µs/request")
			b.ReportMetric(each(cpuTheirs, tc.less), "LiteLLM-µs/request")
			b.ReportMetric(each(cpuTheirs, tc.less)/each(cpuOurs, tc.n), "×processor-time")
			b.ReportMetric(each(timeTheirs, tc.less)/each(timeOurs, tc.n), "×throughput")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchClaude answers as Anthropic's Messages API does.
func benchClaude(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hello"}],` +
		`"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}`))
}

// startLiteLLM runs LiteLLM's proxy with one worker, and returns its URL and its
// process.
func startLiteLLM(b *testing.B, binary, config string) (url string, pid int) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "litellm.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
	port, out := freePort(b), &output{}
	cmd := exec.Command(binary, "--config", path, "--host", "127.0.0.1", "--port", port, "--num_workers", "1", "--telemetry", "False")
	cmd.Env = append(os.Environ(), "LITELLM_LOCAL_MODEL_COST_MAP=True", "LITELLM_LOG=ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true", "NO_PROXY=127.0.0.1")
	start(b, cmd, out)
	url = "http://127.0.0.1:" + port
	await(b, 120*time.Second, "LiteLLM is ready", func() bool {
		resp, err := http.Get(url + "/health/liveliness")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == 200
	})
	return url, cmd.Process.Pid
}
