package observetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestATextIsReadWhileItIsWritten(t *testing.T) {
	var text Text
	if text.Lines() != nil || !text.Reads() {
		t.Errorf("an empty text has the lines %q", text.Lines())
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { fmt.Fprintln(&text, "one line"); _ = text.String() })
	}
	all.Wait()
	if n := len(text.Lines()); n != 10 || text.Reads("one") {
		t.Errorf("%d lines of 10", n)
	}
	var two Text
	fmt.Fprint(&two, "it went\nit came\n")
	if !two.Reads("went", "came") || two.Reads("came", "went") {
		t.Errorf("%q is read wrongly", two.String())
	}
}

// unlucky is a test that is failed.
type unlucky struct {
	testing.TB
	says string
}

func (*unlucky) Helper() {}

func (u *unlucky) Fatalf(format string, args ...any) {
	u.says = fmt.Sprintf(format, args...)
	panic(u)
}

func TestAwaitEndsWithTheConditionOrWithTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Bool
		time.AfterFunc(time.Second, func() { done.Store(true) })
		began := time.Now()
		Await(t, "it is done", done.Load)
		if took := time.Since(began); took > time.Second+10*time.Millisecond {
			t.Errorf("what took a second is seen after %v", took)
		}
		u := &unlucky{}
		defer func() {
			if recover() != any(u) || u.says != "not within 3s: it is never done" {
				t.Errorf("the test that waits in vain says %q", u.says)
			}
		}()
		AwaitWithin(u, 3*time.Second, "it is never done", func() bool { return false })
	})
}
