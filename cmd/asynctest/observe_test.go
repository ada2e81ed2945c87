package asynctest

import (
	"fmt"
	"net"
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
		if took := time.Since(began); took > time.Second+lastPause {
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

func TestAClockTellsWhatTheMachineWasLate(t *testing.T) {
	for slept, want := range map[time.Duration]time.Duration{
		nap:                        0,
		nap + grain - 1:            0,
		nap + grain:                grain,
		nap + 300*time.Millisecond: 300 * time.Millisecond,
	} {
		if got := late(slept); got != want {
			t.Errorf("a sleep of %v that took %v is late by %v, want %v", nap, slept, got, want)
		}
	}
	synctest.Test(t, func(t *testing.T) { // where no machine is ever late
		s := WatchStalls(t)
		ticks := s.Clock()
		time.Sleep(time.Second)
		if took, late := ticks(); took != time.Second || late != 0 {
			t.Errorf("took %v, late %v", took, late)
		}
		s.mu.Lock()
		s.nap = s.nap.Add(-time.Minute) // a sleep that is still waited for
		s.mu.Unlock()
		if _, late := ticks(); late < time.Minute-grain {
			t.Errorf("late by %v while a sleep is a minute late", late)
		}
		time.Sleep(time.Second)
		if _, late := ticks(); late < time.Minute-grain || late > time.Minute+grain {
			t.Errorf("late by %v after a sleep that was a minute late", late)
		}
	})
}

func TestAPortIsGivenOnceAndTaken(t *testing.T) {
	given := map[string]bool{}
	for range 500 { // of 20 000: without the claims two would be the same in 499 of 500 runs
		port := FreePort(t)
		if given[port] {
			t.Fatalf("port %s is given twice", port)
		}
		given[port] = true
	}
	for port := range given {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // by a process that knows nothing of us
		}
		_ = l.Close()
		return
	}
	t.Error("none of the ports is free")
}
