package reload

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
)

func TestASignalLetsOpenRequestsFinishAndRefusesNewOnes(t *testing.T) {
	release := make(chan struct{})
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n")
		gatewaytest.Flush(w)
		select {
		case <-release:
			gatewaytest.OpenAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), ""))
	resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.AskStream))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	s.Cancel() // what a signal does
	asynctest.Await(t, "new connections find nobody", func() bool {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.URL, "http://"), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(release)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the open stream ended with %v: %s", err, rest)
	}
	began := time.Now()
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); testring.JudgesTimes() && took > 10*time.Second {
		t.Errorf("after the last request the end took %s", took)
	}
}

// TestAGraceAdmitsNewRequestsAndHasClientsLeave: readiness says no, and every answer
// ends its connection. The grace is over when nobody can come any more.
func TestAGraceAdmitsNewRequestsAndHasClientsLeave(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+"general_settings: {set_verbose: true}\n",
		"--drain-grace", "5m", "--drain-timeout", "6m")
	if got := s.Get("/health/readiness"); got.Status != 200 {
		t.Fatalf("before: %d %s", got.Status, got.Body)
	}
	s.Cancel() // what a signal does
	asynctest.Await(t, "readiness says no", func() bool { return s.Get("/health/readiness").Status == 503 })
	asynctest.Await(t, "clients are told to leave", func() bool {
		resp, err := http.Post(s.URL+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.Ask))
		if err != nil || gatewaytest.Drain(resp) != nil || resp.StatusCode != 200 {
			t.Fatalf("a new request in the grace: %v %v", resp, err)
		}
		return resp.Close
	})
	pid, err := strconv.Atoi(envoyPid.FindStringSubmatch(s.Stderr.String())[1])
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

var envoyPid = regexp.MustCompile(`"pid":(\d+)`)

func TestAKilledIsthmusLeavesNoEnvoyAndADeadEnvoyIsStartedAgain(t *testing.T) {
	t.Parallel()
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	path := filepath.Join(t.TempDir(), "c.yaml")
	config := "model_list:\n" + gatewaytest.Entry("m", p.Base(), "") + "general_settings: {set_verbose: true}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	port := asynctest.FreePort(t)
	out := &asynctest.Text{}
	cmd := gatewaytest.StartProcess(t, out, "run", "--config", path, "--port", port)
	asynctest.Await(t, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	answers := func() bool {
		resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.Ask))
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == 200
	}
	if !answers() {
		t.Fatalf("no answer:\n%s", out)
	}

	// An Envoy that dies is started again, one that dies at once too.
	for i, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGKILL} {
		if err := syscall.Kill(lastEnvoy(t, out, i+1), signal); err != nil {
			t.Fatal(err)
		}
		asynctest.Await(t, "the log names another Envoy",
			func() bool { return len(envoyPid.FindAllString(out.String(), -1)) == i+2 })
		asynctest.Await(t, "another Envoy answers", answers)
	}
	if again := strings.Count(out.String(), "starting Envoy again"); again != 3 {
		t.Errorf("%d lines say that Envoy is started again, want 3:\n%s", again, out)
	}
	last := lastEnvoy(t, out, 4)

	// kill -9 of isthmus takes its Envoy along.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	asynctest.Await(t, "the orphan has gone", func() bool { return syscall.Kill(last, 0) != nil || zombie(last) })
}

// lastEnvoy is the process id of the nth Envoy, the last that the log names.
func lastEnvoy(t *testing.T, out *asynctest.Text, n int) int {
	t.Helper()
	pids := envoyPid.FindAllStringSubmatch(out.String(), -1)
	if len(pids) != n {
		t.Fatalf("the log names %d Envoys, want %d:\n%s", len(pids), n, out)
	}
	pid, err := strconv.Atoi(pids[n-1][1])
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// zombie reports whether a process has ended and waits for its parent.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || bytes.Contains(stat, []byte(") Z "))
}

// TestASecondSignalEndsWhatIsStillOpen at once, and Envoy with it.
func TestASecondSignalEndsWhatIsStillOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	config := "model_list:\n- {model_name: '*', litellm_params: {model: 'openai/*', api_key: k}}\n" +
		gatewaytest.Entry("m", gatewaytest.NewProvider(t, gatewaytest.Hang).Base(), "") + "general_settings: {set_verbose: true}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	port, out := asynctest.FreePort(t), &asynctest.Text{}
	cmd := gatewaytest.StartProcess(t, out, "run", "--config", path, "--port", port)
	asynctest.Await(t, "ready", func() bool { return strings.Contains(out.String(), "try: ") })
	if !strings.Contains(out.String(), `'{"model": "m",`) {
		t.Errorf("the request to try is for a name that nobody has:\n%s", out)
	}
	go func() {
		resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(gatewaytest.Ask))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()
	asynctest.Await(t, "a request is open", func() bool { return strings.Contains(out.String(), "attempt begins") })
	_ = cmd.Process.Signal(os.Interrupt)
	asynctest.Await(t, "it drains", func() bool { return strings.Contains(out.String(), "draining") })
	pid, _ := strconv.Atoi(envoyPid.FindStringSubmatch(out.String())[1])
	asynctest.Await(t, "both have ended", func() bool {
		_ = cmd.Process.Signal(os.Interrupt) // the first may still be on its way to all who hear of it
		return zombie(cmd.Process.Pid) && zombie(pid)
	})
}
