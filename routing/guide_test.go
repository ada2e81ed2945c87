package routing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// guided is the router of a block of the guide, with a clock of its own.
type guided struct {
	*routing.Router
	now time.Time
}

func guide(t *testing.T, name string) *guided {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("config", "testdata", "guide", name))
	if err != nil {
		t.Fatal(err)
	}
	key := func(name string) (string, bool) {
		return "key", strings.Contains(name, "_API_KEY") || strings.HasPrefix(name, "LANGFUSE_") && strings.HasSuffix(name, "_KEY")
	}
	c, _, err := config.Parse(name, text, config.Options{Lookup: key, Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &guided{now: time.Unix(1_700_000_000, 0)}
	w.Router, err = routing.New(c, routing.Options{Now: func() time.Time { return w.now }, Float: func() float64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// walk fails every attempt of a request with a status and lists what was asked:
// provider/model, and the pauses between.
func (w *guided) walk(t *testing.T, model string, status int) []string {
	t.Helper()
	req, err := chat.Parse(chat.Completions, []byte(`{"model":"`+model+`","messages":[]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.Plan(&routing.Call{Request: req})
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for n := 1; ; n++ {
		hop := &p.Hops[n-1]
		asked = append(asked, hop.Deployment.Provider+"/"+hop.Model)
		w.Begin(hop)
		kind := upstream.KindOf(&upstream.Error{Status: status})
		w.Done(hop, routing.Outcome{Failed: true, Kind: kind, Status: status})
		next := w.Failed(p, n, routing.Failure{Kind: kind})
		if !next.Retry {
			return asked
		}
		if next.Pause > 0 {
			asked = append(asked, next.Pause.String())
		}
		w.now = w.now.Add(next.Pause)
	}
}

// The guide: my-model "tries gpt-4o first, gpt-4-turbo if that fails,
// gpt-3.5-turbo as the last resort", with three retries, five seconds between
// them.
func TestTheGuidesFallbackBlock(t *testing.T) {
	r := guide(t, "08-fallback-cascade.yaml")
	stage := func(model string) []string {
		return []string{"openai/" + model, "5s", "openai/" + model, "5s", "openai/" + model, "5s", "openai/" + model}
	}
	want := append(append(stage("gpt-4o"), stage("gpt-4-turbo")...), stage("gpt-3.5-turbo")...)
	if diff := cmp.Diff(want, r.walk(t, "my-model", 500)); diff != "" {
		t.Errorf("my-model that fails with 500 (-want +got):\n%s", diff)
	}
	want = []string{"openai/gpt-4o", "openai/gpt-4-turbo", "openai/gpt-3.5-turbo"}
	if diff := cmp.Diff(want, r.walk(t, "my-model", 404)); diff != "" {
		t.Errorf("my-model whose models are not there (-want +got):\n%s", diff)
	}
}

// The guide: primary walks Gemini, then OpenAI with two keys, then a local
// Ollama.
func TestTheGuidesProductionBlock(t *testing.T) {
	r := guide(t, "18-production.yaml")
	want := []string{
		"gemini/gemini-2.0-flash-exp", "5s", "gemini/gemini-2.0-flash-exp", "5s",
		"gemini/gemini-2.0-flash-exp", "5s", "gemini/gemini-2.0-flash-exp",
		"openai/gpt-4o", "openai/gpt-4o", "5s", "openai/gpt-4o", "5s", "openai/gpt-4o",
		"ollama/llama2", "5s", "ollama/llama2", "5s", "ollama/llama2", "5s", "ollama/llama2",
	}
	if diff := cmp.Diff(want, r.walk(t, "primary", 503)); diff != "" {
		t.Errorf("primary that fails with 503 (-want +got):\n%s", diff)
	}
	want = []string{"gemini/gemini-2.0-flash-exp", "openai/gpt-4o", "openai/gpt-4o", "ollama/llama2"}
	if diff := cmp.Diff(want, r.walk(t, "primary", 401)); diff != "" {
		t.Errorf("primary whose keys do not work (-want +got):\n%s", diff)
	}
}
