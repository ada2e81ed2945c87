package testring

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Variable is the variable of the environment that has the name of the ring that
// runs: test, soak or compat. Unset or empty means that somebody runs the tests by
// hand.
const Variable = "ISTHMUS_TEST_RING"

// Soak says that a test is of the ring soak, and why it cannot be of the first: it is
// skipped in the others. `make soak` finds the test by its name, which begins with
// TestSoak.
func Soak(tb testing.TB, why string) {
	tb.Helper()
	only(tb, "soak", "TestSoak", why)
}

// Compat says that a test is of the ring compat, and what it is held against: it is
// skipped in the others. `make compat` finds the test by its name, which begins with
// TestCompat.
func Compat(tb testing.TB, why string) {
	tb.Helper()
	only(tb, "compat", "TestCompat", why)
}

func only(tb testing.TB, ring, prefix, why string) {
	tb.Helper()
	if !strings.HasPrefix(tb.Name(), prefix) {
		tb.Fatalf("the name of a test of make %s begins with %s: make finds it by that", ring, prefix)
	}
	if os.Getenv(Variable) != ring {
		tb.Skipf("make %s: %s", ring, why)
	}
}

// JudgesTimes reports whether times are judged: in the ring soak, where the machine
// does nothing else. A test of the first ring that waits for something whose time
// matters too checks that time only if so, and is run by the TestSoakTimes of its
// package.
func JudgesTimes() bool { return os.Getenv(Variable) == "soak" }

// Lacks ends a test that needs what this machine lacks, which makes no difference to
// the program. By hand the test is skipped; under make it fails, since `make deps` has
// fetched what there is to fetch.
func Lacks(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv(Variable) == "" {
		tb.Skipf("lacks %s: make deps fetches it", what)
	}
	tb.Fatalf("lacks %s: make deps fetches it", what)
}

// Program is the path of a program of the system; a test without it ends as by
// [Lacks].
func Program(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Lacks(tb, name)
	}
	return path
}

// File is the path it is given; a test without a file or folder there ends as by
// [Lacks].
func File(tb testing.TB, path string) string {
	tb.Helper()
	if _, err := os.Stat(path); err != nil {
		Lacks(tb, path)
	}
	return path
}
