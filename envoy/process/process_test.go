package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

// TestMain lets the test binary stand for a program that runs an Envoy, for the
// test that must kill one.
func TestMain(m *testing.M) {
	if path := os.Getenv("PROCESS_TEST_PARENT"); path != "" {
		p, err := Start(Binary{Path: path}, nil, Options{})
		if err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(p.Pid()) + "\n")
		<-p.Done()
		return
	}
	os.Exit(m.Run())
}

// lives is an Envoy that does nothing until it is told to end.
const lives = "trap 'exit 0' TERM; while :; do sleep 0.05; done"

func start(t *testing.T, text string, o Options) *Process {
	t.Helper()
	p, err := Start(Binary{Path: script(t, "envoy", text)}, []byte("admin: {}\n"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(canceled()) })
	return p
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func ended(t *testing.T, p *Process) error {
	t.Helper()
	select {
	case <-p.Done():
		return p.Err()
	case <-time.After(time.Minute):
		t.Fatal("it goes on")
		return nil
	}
}

func TestADeadEnvoysLastWordsAreTheError(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"errors alone, where there are some": {`echo "warning a" >&2; echo "error the port is taken" >&2; echo "critical goodbye" >&2; echo ` +
			`"info b" >&2; exit 1`,
			"Envoy ended (exit status 1): error the port is taken; critical goodbye"},
		"else the last lines": {`for i in 1 2 3 4 5; do echo "line $i" >&2; done; exit 2`,
			"Envoy ended (exit status 2): line 3; line 4; line 5"},
		"or nothing but the status": {"exit 3", "Envoy ended: exit status 3"},
		"an end that was no error":  {"exit 0", "Envoy ended: exit status 0"},
		"a signal":                  {"kill -SEGV $$", "Envoy ended: signal: segmentation fault"},
		"not what it said long ago": {`echo "error of the start" >&2; for i in $(seq 30); do echo "warning $i" >&2; done; exit 1`,
			"Envoy ended (exit status 1): warning 28; warning 29; warning 30"},
	} {
		p := start(t, tc.text, Options{})
		if err := ended(t, p); !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %s", name, err, tc.want)
		}
		if err := p.Ready(soon(t)); err == nil || err.Error() != p.Err().Error() {
			t.Errorf("%s: ready says %v", name, err)
		}
	}
}

func TestWhatCannotBeStartedIsAnErrorAtOnce(t *testing.T) {
	if p, err := Start(Binary{Path: filepath.Join(t.TempDir(), "none")}, nil, Options{}); err == nil ||
		!strings.Contains(err.Error(), "start Envoy") {
		t.Errorf("%v, %v", p, err)
	}
}

func TestALineThatIsTooLongDoesNotBlockEnvoy(t *testing.T) {
	p := start(t, `head -c 3000000 /dev/zero | tr '\0' x >&2; echo >&2; exit 4`, Options{})
	if err := ended(t, p); !strings.Contains(err.Error(), "exit status 4") {
		t.Error(err)
	}
}

func TestEnvoysLogGoesToOurs(t *testing.T) {
	var buf asynctest.Text
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo}))
	p := start(t, `echo "warning some noise" >&2; echo "error something bad" >&2`, Options{Log: log})
	_ = ended(t, p)
	if got := buf.String(); !strings.Contains(got, `level=ERROR msg=envoy says="something bad"`) || strings.Contains(got, "noise") {
		t.Errorf("the log is %s", got)
	}
}

func TestTheConfigurationIsOnlyForThisUserAndGoesWithTheProcess(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	p := start(t, `while [ "$1" != --config-path ]; do shift; done; ls -l "$2" > `+note+`; cat "$2" >> `+note+`; echo "$2" >> `+note+`; mv `+
		note+` `+note+`.done; `+lives, Options{Concurrency: 2})
	var text []byte
	asynctest.Await(t, "the script has written", func() bool {
		text, _ = os.ReadFile(note + ".done")
		return text != nil
	})
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "-rw-------") || lines[1] != "admin: {}" {
		t.Fatalf("the file is %q", lines)
	}
	p.Stop(soon(t))
	if _, err := os.Stat(filepath.Dir(lines[2])); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

func TestAnEnvoyGetsNoKeysOfTheEnvironment(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	for _, name := range []string{"OPENAI_API_KEY", "LITELLM_MASTER_KEY", "ISTHMUS_SHARED_SECRET", "MY_OWN", "PATHS"} {
		t.Setenv(name, "sk-of-the-environment")
	}
	t.Setenv("TZ", "Europe/Berlin")
	t.Setenv("LD_NOTHING", "x")
	_ = ended(t, start(t, "env > "+note, Options{}))
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "sk-of-the-environment") {
		t.Errorf("Envoy gets a key:\n%s", text)
	}
	for _, want := range []string{"PATH=", "TZ=Europe/Berlin", "LD_NOTHING=x"} {
		if !strings.Contains("\n"+string(text), "\n"+want) {
			t.Errorf("Envoy does not get %s:\n%s", want, text)
		}
	}
}

func TestStopIsPoliteUntilItsContextEnds(t *testing.T) {
	polite := start(t, lives, Options{})
	polite.Stop(soon(t))
	// A shell may be told before its trap is set: then the signal ends it.
	if err := polite.Err().Error(); !strings.Contains(err, "exit status 0") && !strings.Contains(err, "terminated") {
		t.Errorf("politely: %s", err)
	}
	note := filepath.Join(t.TempDir(), "deaf")
	deaf := start(t, "trap '' TERM; : > "+note+"; while :; do sleep 0.05; done", Options{})
	asynctest.Await(t, "the script runs", func() bool { _, err := os.Stat(note); return err == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	deaf.Stop(ctx)
	if err := deaf.Err().Error(); !strings.Contains(err, "killed") {
		t.Errorf("by force: %s", err)
	}
	deaf.Stop(soon(t)) // again is no harm
}

func TestReadyAsksTheAdminInterfaceUntilItSaysYes(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	p := start(t, lives, Options{AdminSocket: socket})
	short, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("not within 100 ms"))
	defer cancel()
	if err := p.Ready(short); err == nil || !strings.Contains(err.Error(), "not within 100 ms") {
		t.Errorf("nobody answers: %v", err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.String())
		if len(asked) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	if err := p.Ready(soon(t)); err != nil || len(asked) != 3 || asked[2] != "GET /ready" {
		t.Errorf("ready: %v after %v", err, asked)
	}
}

func TestAnEnvoyEndsWithTheProgramThatRunsItHoweverThatEnds(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "PROCESS_TEST_PARENT="+script(t, "envoy", lives))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	t.Cleanup(func() {
		if t.Failed() {
			_ = syscall.Kill(child, syscall.SIGKILL)
		}
	})
	asynctest.Await(t, "the child has ended with its parent", func() bool { return !running(child) })
}

// running reports whether a process lives; one that waits for its parent does not.
func running(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}
