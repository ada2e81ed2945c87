package exec

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// TestMain is also the program that the tests run: what it does is in
// ISTHMUS_TEST_CHILD.
func TestMain(m *testing.M) {
	if role := os.Getenv("ISTHMUS_TEST_CHILD"); role != "" {
		beChild(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// awaitLine waits until a text was logged so many times.
func awaitLine(t *testing.T, log *asynctest.Text, text string, times int) {
	t.Helper()
	asynctest.Await(t, text+" is logged", func() bool { return strings.Count(log.String(), text) >= times })
}

// program is this test binary in a role.
func program(t *testing.T, role string, log *asynctest.Text) *Sink {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command, err := Parse("ISTHMUS_TEST_CHILD=" + role + " '" + self + "' -x")
	if err != nil {
		t.Fatal(err)
	}
	return New(Config{Command: command, Log: slog.New(slog.NewTextHandler(log, nil))})
}

func event(n int) *callback.Event {
	return &callback.Event{Hook: callback.PreAPICall, CallID: strconv.Itoa(n), Attempt: 1, Model: "openai/gpt-4o"}
}

func shut(t *testing.T, s *Sink, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return s.Close(ctx)
}

func TestTheProgramReadsEventsAndItsOutputIsLogged(t *testing.T) {
	log := &asynctest.Text{}
	s := program(t, "echo", log)
	if err := s.Deliver(t.Context(), []*callback.Event{event(1), event(2)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Deliver(t.Context(), []*callback.Event{event(3)}); err != nil {
		t.Fatal(err)
	}
	if err := shut(t, s, 20*time.Second); err != nil {
		t.Error(err)
	}
	var got []string
	for line := range strings.Lines(log.String()) {
		if i := strings.Index(line, "got "); i >= 0 {
			got = append(got, line[i:strings.Index(line, `"`+" program")])
		}
	}
	line := func(n string) string {
		return `got {\"hook\":\"pre_api_call\",\"time\":null,\"litellm_call_id\":\"` + n + `\",\"attempt\":1,\"model\":\"openai/gpt-4o\"}`
	}
	if diff := cmp.Diff([]string{line("1"), line("2"), line("3")}, got); diff != "" {
		t.Errorf("(-want +got)\n%s\n%s", diff, log)
	}
	if !strings.Contains(log.String(), "drained") {
		t.Errorf("the program was not given the time to finish:\n%s", log)
	}
	if err := s.Deliver(t.Context(), []*callback.Event{event(4)}); !callback.IsPermanent(err) {
		t.Errorf("after the end: %v", err)
	}
}

func TestAProgramThatDiesIsStartedAgain(t *testing.T) {
	log := &asynctest.Text{}
	s := program(t, "die", log) // after its first line
	q := callback.NewQueue(s, callback.QueueConfig{
		Name: "exec", BatchAge: time.Millisecond, MinWait: 10 * time.Millisecond, Rand: func() float64 { return 0 },
		Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	for n := 1; n <= 3; n++ {
		q.Add(event(n))
		awaitLine(t, log, "died after "+strconv.Itoa(n), 1)
		awaitLine(t, log, "callback program ended", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := q.Close(ctx); err != nil {
		t.Error(err)
	}
	_ = shut(t, s, 20*time.Second)
	if n := strings.Count(log.String(), "callback program started"); n < 3 {
		t.Errorf("started %d times:\n%s", n, log)
	}
}

func TestAProgramThatDoesNotReadIsEnded(t *testing.T) {
	log := &asynctest.Text{}
	s := program(t, "deaf", log)
	long := event(1)
	long.Error = strings.Repeat("x", 1<<20) // more than a pipe holds
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Deliver(ctx, []*callback.Event{long}); err == nil || callback.IsPermanent(err) ||
		!strings.Contains(err.Error(), "does not read") {
		t.Errorf("%v", err)
	}
	awaitLine(t, log, "callback program ended", 1)
	_ = shut(t, s, time.Second)
}

func TestAProgramThatDoesNotEndIsMadeTo(t *testing.T) {
	log := &asynctest.Text{}
	s := program(t, "deaf", log)
	if err := s.Deliver(t.Context(), []*callback.Event{event(1)}); err != nil {
		t.Fatal(err)
	}
	awaitLine(t, log, "deaf", 1) // it has installed what ignores SIGTERM
	began := time.Now()
	if err := shut(t, s, 50*time.Millisecond); err == nil {
		t.Error("close does not say that it had to")
	}
	if took := time.Since(began); testring.JudgesTimes() && took > 15*time.Second {
		t.Errorf("closing took %v", took)
	}
}

func TestAProgramThatIsAbsentIsTriedAgain(t *testing.T) {
	s := New(Config{Command: Command{Words: []string{"/nowhere/at/all"}}, Log: slog.New(slog.DiscardHandler)})
	if err := s.Deliver(t.Context(), []*callback.Event{event(1)}); err == nil || callback.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}
