package guard

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
)

func TestAPanicIsLoggedCountedAndGoesNoFurther(t *testing.T) {
	var log asynctest.Text
	var counted []string
	g := New(slog.New(slog.NewTextHandler(&log, nil)), func(where string) { counted = append(counted, where) })
	if g.Run("one", func() { panic("sk-secret") }) {
		t.Error("Run reports that a function returned which panicked")
	}
	if !g.Run("two", func() {}) {
		t.Error("Run reports a panic where there was none")
	}
	if err := g.Call("three", func() error { var none *Guard; none.log.Info("x"); return nil }); !errors.Is(err, ErrPanicked) {
		t.Errorf("Call returned %v", err)
	}
	own := errors.New("own")
	if err := g.Call("four", func() error { return own }); !errors.Is(err, own) {
		t.Errorf("Call returned %v", err)
	}
	if got := strings.Join(counted, " "); got != "one three" {
		t.Errorf("counted %q", got)
	}
	if text := log.String(); strings.Contains(text, "sk-secret") || !strings.Contains(text, "nil pointer") {
		t.Errorf("log: %s", text)
	}
}

func TestGoroutinesAndTimersAreGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log asynctest.Text
		counted := make(chan string, 2)
		g := New(slog.New(slog.NewTextHandler(&log, nil)), func(where string) { counted <- where })
		g.Go("goroutine", func() { panic("x") })
		if where := <-counted; where != "goroutine" {
			t.Errorf("counted %q", where)
		}
		g.AfterFunc(time.Hour, "timer", func() { panic("x") })
		if where := <-counted; where != "timer" {
			t.Errorf("counted %q", where)
		}
	})
}

func TestNoGuardRecoversToo(t *testing.T) {
	var g *Guard
	if g.Run("nobody's", func() { panic("x") }) {
		t.Error("Run reports that a function returned which panicked")
	}
}
