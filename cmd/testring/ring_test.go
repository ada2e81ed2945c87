package testring

import (
	"testing"
)

// ended runs f as a test of its own and reports how it ended.
func ended(t *testing.T, ring string, f func(testing.TB)) (skipped, failed bool) {
	t.Helper()
	t.Setenv(Variable, ring)
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		f(r)
	}()
	<-done
	return r.skipped, r.failed
}

// recorder is a test whose end is kept and not taken.
type recorder struct {
	testing.TB
	skipped, failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Name() string          { return "TestSoakOfTheRecorder" }
func (r *recorder) Skipf(string, ...any)  { r.skipped = true; panic("ended") }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic("ended") }

func TestATestRunsInItsRingOnly(t *testing.T) {
	for ring, want := range map[string]bool{"": true, "test": true, "soak": false, "compat": true} {
		if skipped, failed := ended(t, ring, func(tb testing.TB) { Soak(tb, "why") }); skipped != want || failed {
			t.Errorf("a test of soak in the ring %q: skipped %t, failed %t", ring, skipped, failed)
		}
	}
}

func TestATestWhoseNameDoesNotTellItsRingFails(t *testing.T) {
	if _, failed := ended(t, "compat", func(tb testing.TB) { Compat(tb, "why") }); !failed {
		t.Error("TestSoak… calls Compat and passes")
	}
}

func TestWhatIsLackingFailsUnderMakeOnly(t *testing.T) {
	for ring, want := range map[string]bool{"": true, "test": false} {
		if skipped, failed := ended(t, ring, func(tb testing.TB) { Lacks(tb, "an Envoy") }); skipped != want || failed == want {
			t.Errorf("in the ring %q: skipped %t, failed %t", ring, skipped, failed)
		}
	}
}
