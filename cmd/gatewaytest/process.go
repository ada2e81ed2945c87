package gatewaytest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/cli"
)

// ResidentMemory is what a process holds, in bytes.
func ResidentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	for line := range strings.Lines(ReadFile(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// asIsthmus is the variable of the environment that makes a test binary isthmus.
const asIsthmus = "ISTHMUS_TEST_MAIN"

// Main runs the tests of a package and returns the exit code, or lets the test
// binary stand for isthmus itself where [StartProcess] has started it. A package
// that calls StartProcess has a TestMain that calls Main.
func Main(m *testing.M) int {
	if os.Getenv(asIsthmus) == "1" {
		return cli.Main()
	}
	return m.Run()
}

// StartProcess runs isthmus with these arguments as a process of its own, for tests
// that signal or kill it, until the test ends. It is this test binary, so that the
// race detector sees it; see [Main].
func StartProcess(t testing.TB, out io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asIsthmus+"=1")
	StartCommand(t, cmd, out)
	return cmd
}

// StartCommand starts a program that ends with the test.
func StartCommand(t testing.TB, cmd *exec.Cmd, out io.Writer) {
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

// StartProgram runs the program itself: under the race detector this test's own
// binary takes several times the memory.
func StartProgram(t *testing.T, config string, args ...string) (url string, pid int) {
	t.Helper()
	path, out, port := filepath.Join(t.TempDir(), "c.yaml"), &asynctest.Text{}, asynctest.FreePort(t)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build(t), append([]string{"run", "--config", path, "--port", port}, args...)...)
	StartCommand(t, cmd, out)
	asynctest.Await(t, "isthmus is ready", func() bool { return strings.Contains(out.String(), "is ready") })
	return "http://127.0.0.1:" + port, cmd.Process.Pid
}

// build makes the program and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "isthmus")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/isthmus-proxy/isthmus/cmd/isthmus").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}
