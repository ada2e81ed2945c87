package exec

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
)

const example = "../../../examples/custom-callback/"

// runPython sends the events of two requests, one good and one bad, to a
// CustomLogger and returns what it printed.
func runPython(t *testing.T, logger string) string {
	t.Helper()
	log := &asynctest.Text{}
	testring.Program(t, "python3")
	command, err := Parse("python3 " + example + "isthmus_callback.py " + logger)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Command: command, Log: slog.New(slog.NewTextHandler(log, nil))})
	r := callbacktest.New()
	var events []*callback.Event
	for _, one := range []*callback.Record{r.Stream, r.Failure} {
		last := one.Attempts[len(one.Attempts)-1]
		events = append(events,
			&callback.Event{Hook: callback.PreAPICall, Time: one.StartTime, CallID: one.CallID, Attempt: 1, Model: one.Model,
				Messages: one.Messages},
			&callback.Event{Hook: callback.StreamEvent, Time: one.EndTime, CallID: one.CallID, Attempt: 1,
				Chunk: jsontext.Value(`{"choices":[{"delta":{"content":"Oi"}}]}`)},
			&callback.Event{Hook: callback.PostAPICall, Time: one.EndTime, CallID: one.CallID, Attempt: 1, Status: last.Status,
				Duration: callback.Seconds(last.Took)},
			callback.EventOf(one))
	}
	if err := s.Deliver(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if err := shut(t, s, time.Minute); err != nil {
		t.Error(err)
	}
	return log.String()
}

// inOrder checks that the texts appear one after the other.
func inOrder(t *testing.T, in string, texts ...string) {
	t.Helper()
	rest := in
	for _, text := range texts {
		i := strings.Index(rest, text)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place:\n%s", text, in)
		}
		rest = rest[i+len(text):]
	}
}

func TestTheGuidesCustomLoggerPrintsItsLines(t *testing.T) {
	out := runPython(t, example+"litellm_callbacks.py")
	inOrder(t, out,
		"INFO litellm_callbacks: Chamando modelo: openai/gpt-4o", "Requisição concluída em 0.79s", "✅ Requisição bem-sucedida",
		"Chamando modelo: openai/gpt-4o", "Requisição concluída em 0.79s", "ERROR litellm_callbacks: ❌ Requisição falhou")
	if strings.Contains(out, "Traceback") || strings.Contains(out, "Mensagens") {
		t.Errorf("%s", out)
	}
}

func TestAsyncHooksAndTheStandardLoggingObject(t *testing.T) {
	out := runPython(t, "testdata/async_logger.py")
	inOrder(t, out,
		"stream Oi", "log_success_event of Broken failed", "ValueError: a bug of the user",
		"success call-stream gpt-4o cost 0.0004 tokens 120 tenant acme text Oi! first 0.12 took 0:00:00.800000 total 0.8",
		"failure call-failure RateLimitError 429 Rate limit reached")
}
