package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary stand for isthmus itself, for the tests that
// must kill a process, and for the floor of the benchmarks.
func TestMain(m *testing.M) {
	if os.Getenv("ISTHMUS_TEST_MAIN") == "1" {
		os.Exit(Main())
	}
	if socket := os.Getenv("ISTHMUS_TEST_FLOOR"); socket != "" {
		if err := serveFloor(socket); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child runs the test binary as another program until the test ends.
func child(t testing.TB, out io.Writer, env string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), env)
	start(t, cmd, out)
	return cmd
}

// start starts a program that ends with the test.
func start(t testing.TB, cmd *exec.Cmd, out io.Writer) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
}

func TestASignalLetsOpenRequestsFinishAndRefusesNewOnes(t *testing.T) {
	release := make(chan struct{})
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"first\"}}]}\n\n")
		flush(w)
		select {
		case <-release:
			openAI(w, r, body)
		case <-r.Context().Done():
		}
	})
	s := startStack(t, "model_list:\n"+entry("m", p.base(), ""))
	resp, err := http.Post(s.url+"/v1/chat/completions", "application/json", strings.NewReader(askStream))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	s.cancel() // what a signal does
	await(t, 20*time.Second, "new connections find nobody", func() bool {
		c, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second)
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
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("after the last request the end took %s", took)
	}
}

func TestWhatCannotStartSaysWhyAtOnce(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	dir := t.TempDir()
	good, bad, hooks, quote := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml"), filepath.Join(dir, "hooks.yaml"), filepath.Join(dir, "quote.yaml")
	model := "model_list:\n" + entry("m", "http://127.0.0.1:1/v1", "")
	for path, text := range map[string]string{
		hooks: model + "general_settings:\n  success_callback:\n  - prometheus\n  - exec:ISTHMUS_HOOKS=pre_call python3 x.py\n",
		quote: model + "litellm_settings:\n  callbacks: ['exec:python3 \"x.py']\n",
		good:  "model_list:\n" + entry("m", "http://127.0.0.1:1/v1", ""), bad: "model_list:\n- model_name: m\n  litellm_params: {model: nope/x}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no command":              {nil, 2, "isthmus run"},
		"an unknown command":      {[]string{"start"}, 2, `no command "start"`},
		"help of the cache":       {[]string{"cache", "--help"}, 0, "isthmus cache flush"},
		"no config":               {[]string{"run"}, 1, "examples/quickstart/config.yaml"},
		"a config that is absent": {[]string{"run", "--config", filepath.Join(dir, "no.yaml")}, 1, "there is no file"},
		"a config that is wrong":  {[]string{"run", "--config", bad}, 1, `bad.yaml:3: model_list[0].litellm_params.model: provider "nope" is not known`},
		"a hook that is none":     {[]string{"check", "--config", hooks}, 1, `hooks.yaml:7: general_settings.success_callback[1]: the command behind exec: cannot be run: ISTHMUS_HOOKS: no hook is called "pre_call"`},
		"an open quote":           {[]string{"check", "--config", quote}, 1, "quote.yaml:5: litellm_settings.callbacks[0]: the command behind exec: cannot be run: a quote is not closed"},
		"a taken port":            {[]string{"run", "--config", good, "--port", port}, 1, "port " + port + " cannot be had"},
		"a taken admin port":      {[]string{"serve", "--config", good, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:" + port}, 1, "listen for the admin port at 127.0.0.1:" + port},
		"an impossible port":      {[]string{"run", "--config", good, "--port", "70000"}, 1, "1 to 65535"},
		"a wrong flag":            {[]string{"run", "--confg", good}, 2, "flag provided but not defined"},
		"an argument":             {[]string{"check", "--config", good, "extra"}, 2, `"extra" is not expected`},
		"no Envoy":                {[]string{"run", "--config", good, "--port", freePort(t), "--envoy", "/bin/false"}, 1, "no Envoy that runs here"},
		"TLS without its roots":   {[]string{"envoy", "--config", good, "--processor-name", "isthmus"}, 1, "--processor-ca"},
		"half a certificate":      {[]string{"envoy", "--config", good, "--processor-cert", "x.pem"}, 1, "--processor-cert and --processor-key go together"},
		"an old Envoy asked for":  {[]string{"envoy", "--config", good, "--envoy-version", "1.20"}, 1, "too old"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var stdout, stderr bytes.Buffer
			if code := dispatch(ctx, tc.args, &stdout, &stderr); code != tc.code || !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("exit %d, want %d; stderr:\n%s\nwant …%s…", code, tc.code, stderr.String(), tc.want)
			}
		})
	}
}

func TestCheckSaysThatAConfigIsFine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("model_list:\n"+entry("m", "http://127.0.0.1:1/v1", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := dispatch(t.Context(), []string{"check", "--config", path}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), "1 deployments serve 1 models") {
		t.Errorf("exit %d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestAServiceWithoutAnAdminPortNamesNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("model_list:\n"+entry("m", "http://127.0.0.1:1/v1", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it ends as soon as it has said where it is
	var stdout, stderr bytes.Buffer
	code := dispatch(ctx, []string{"serve", "--config", path, "--listen", "127.0.0.1:0", "--admin", ""}, &stdout, &stderr)
	if want := "isthmus serves Envoy at 127.0.0.1:0 with 1 models\n"; code != 0 || stdout.String() != want {
		t.Errorf("exit %d: %q%s, want %q", code, stdout.String(), stderr.String(), want)
	}
}

var envoyPid = regexp.MustCompile(`"pid":(\d+)`)

func TestAKilledIsthmusLeavesNoEnvoyAndADeadEnvoyIsStartedAgain(t *testing.T) {
	p := newProvider(t, openAI)
	path := filepath.Join(t.TempDir(), "c.yaml")
	config := "model_list:\n" + entry("m", p.base(), "") + "general_settings: {set_verbose: true}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	out := &output{}
	cmd := child(t, out, "ISTHMUS_TEST_MAIN=1", "run", "--config", path, "--port", port)
	await(t, 60*time.Second, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	answers := func() bool {
		resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(ask))
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
		await(t, 60*time.Second, "the log names another Envoy", func() bool { return len(envoyPid.FindAllString(out.String(), -1)) == i+2 })
		await(t, 60*time.Second, "another Envoy answers", answers)
	}
	if again := strings.Count(out.String(), "starting Envoy again"); again != 3 {
		t.Errorf("%d lines say that Envoy is started again, want 3:\n%s", again, out)
	}
	last := lastEnvoy(t, out, 4)

	// kill -9 of isthmus takes its Envoy along.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, time.Minute, "the orphan has gone", func() bool { return syscall.Kill(last, 0) != nil || zombie(last) })
}

// lastEnvoy is the process id of the nth Envoy, the last that the log names.
func lastEnvoy(t *testing.T, out *output, n int) int {
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
	config := "model_list:\n- {model_name: '*', litellm_params: {model: 'openai/*', api_key: k}}\n" + entry("m", newProvider(t, hang).base(), "") + "general_settings: {set_verbose: true}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	port, out := freePort(t), &output{}
	cmd := child(t, out, "ISTHMUS_TEST_MAIN=1", "run", "--config", path, "--port", port)
	await(t, 60*time.Second, "ready", func() bool { return strings.Contains(out.String(), "try: ") })
	if !strings.Contains(out.String(), `'{"model": "m",`) {
		t.Errorf("the request to try is for a name that nobody has:\n%s", out)
	}
	go func() {
		if resp, err := http.Post("http://127.0.0.1:"+port+"/v1/chat/completions", "application/json", strings.NewReader(ask)); err == nil {
			_ = resp.Body.Close()
		}
	}()
	await(t, 20*time.Second, "a request is open", func() bool { return strings.Contains(out.String(), "attempt begins") })
	_ = cmd.Process.Signal(os.Interrupt)
	await(t, 20*time.Second, "it drains", func() bool { return strings.Contains(out.String(), "draining") })
	pid, _ := strconv.Atoi(envoyPid.FindStringSubmatch(out.String())[1])
	await(t, 20*time.Second, "both have ended", func() bool {
		_ = cmd.Process.Signal(os.Interrupt) // the first may still be on its way to all who hear of it
		return zombie(cmd.Process.Pid) && zombie(pid)
	})
}
