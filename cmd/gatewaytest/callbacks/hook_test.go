package callbacks

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// expectLines checks that lines that match the patterns come in this order.
func expectLines(t *testing.T, what func() string, patterns ...string) {
	t.Helper()
	all := regexp.MustCompile("(?s)" + strings.Join(patterns, ".*"))
	asynctest.Await(t, fmt.Sprintf("the lines %q in this order", patterns),
		func() bool { return all.MatchString(what()) })
}

// TestTheGoExampleHearsOfAllFiveHooks builds the example and runs it with an
// Envoy of its own.
func TestTheGoExampleHearsOfAllFiveHooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, config := filepath.Join(dir, "isthmus-with-hooks"), filepath.Join(dir, "config.yaml")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../../examples/custom-callback/go").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, built)
	}
	g := newScenarioProvider(t)
	if err := os.WriteFile(config, []byte(g.models()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, port := &asynctest.Text{}, asynctest.FreePort(t)
	gatewaytest.StartCommand(t, exec.Command(program, "run", "--config", config, "--port", port, "--concurrency", "1"), out)
	asynctest.Await(t, "ready", func() bool { return strings.Contains(out.String(), "is ready") })
	const began, took = `calling openai/up\n`, `openai/up took \d+(\.\d+)?[mµ]?s\n`
	var all []string
	for _, tc := range []struct {
		scenario string
		lines    []string
	}{
		{"stream", []string{began, `chunk \{.*"content":"Hel"`, `chunk \{.*"content":"lo"`, took, `success, 5 tokens\n`}},
		{"failure", []string{began, took, `failure: Rate limit reached\n`}},
		{"cascade", []string{began, took, began, took, `success, 5 tokens\n`}},
	} {
		c := scenarios()[slices.IndexFunc(scenarios(), func(c scenario) bool { return c.name == tc.scenario })]
		resp, err := http.Post("http://127.0.0.1:"+port+c.path, "application/json", strings.NewReader(c.body()))
		if err != nil {
			t.Fatal(err)
		}
		if err := gatewaytest.Drain(resp); err != nil { // who leaves early is a client that aborts
			t.Fatal(err)
		}
		all = append(all, tc.lines...)
		expectLines(t, out.String, all...) // the last line of a request comes after its answer
	}
	if n := strings.Count(out.String(), "calling"); n != 4 {
		t.Errorf("%d attempts were told of, want 4", n)
	}
}

// told is what a hook says, as far as the test looks.
type told struct {
	Hook    string         `json:"hook"`
	CallID  string         `json:"litellm_call_id"`
	Attempt int            `json:"attempt"`
	Model   string         `json:"model"`
	Group   string         `json:"model_group"`
	Chunk   jsontext.Value `json:"chunk"`
}

// hooked is what a program behind exec: was told of a request, when it is cat: its
// lines are in the log.
func hooked(s *gatewaytest.Gateway, id string) (all []told, hooks string) {
	s.T.Helper()
	for line := range strings.Lines(s.Stderr.String()) {
		logged := struct {
			Message string `json:"msg"`
			Program string `json:"program"`
		}{}
		var e told
		if json.Unmarshal([]byte(line), &logged) == nil && logged.Program == "cat" && json.Unmarshal([]byte(logged.Message), &e) == nil &&
			e.CallID == id {
			all, hooks = append(all, e), hooks+" "+e.Hook
		}
	}
	return all, strings.TrimSpace(hooks)
}

// The guide has stream_event "during streaming". A client that streams gets the
// chunks of a stored answer, and the hooks hear of the same ones; no attempt is
// made, so those of attempts are not called.
func TestHooksHearOfTheChunksOfAStoredAnswer(t *testing.T) {
	p := gatewaytest.NewProvider(t, gatewaytest.OpenAI)
	s := gatewaytest.Start(t, "model_list:\n"+gatewaytest.Entry("m", p.Base(), "")+gatewaytest.Cached+
		"litellm_settings: {callbacks: ['exec:ISTHMUS_HOOKS=pre_api_call,post_api_call,stream_event,success_event cat']}\n")
	var stream *gatewaytest.Answer
	for _, tc := range []struct{ name, body, cache, hooks string }{
		{"a new answer", gatewaytest.Ask, "miss", "pre_api_call post_api_call success_event"},
		{"the stored one, as a stream", gatewaytest.AskStream, "hit", "stream_event stream_event stream_event success_event"},
		{"the stored one", gatewaytest.Ask, "hit", "success_event"},
	} {
		got := s.Post("/v1/chat/completions", tc.body)
		if got.Header.Get("X-Isthmus-Cache") != tc.cache {
			t.Fatalf("%s: %v", tc.name, got.Header)
		}
		asynctest.Await(t, tc.name+": "+tc.hooks, func() bool {
			_, hooks := hooked(s, got.Header.Get("X-Isthmus-Request-Id"))
			return hooks == tc.hooks
		})
		if tc.body == gatewaytest.AskStream {
			stream = got
		}
	}
	var sent strings.Builder
	all, _ := hooked(s, stream.Header.Get("X-Isthmus-Request-Id"))
	for _, e := range all[:3] {
		fmt.Fprintf(&sent, "data: %s\n\n", e.Chunk)
		if e.Attempt != 0 || e.Model != "openai/up" || e.Group != "m" {
			t.Errorf("%+v", e)
		}
	}
	if diff := cmp.Diff(stream.Body, sent.String()+"data: [DONE]\n\n"); diff != "" {
		t.Errorf("what was told is not what was sent (-sent +told):\n%s", diff)
	}
}

// pythonExample is the example's model config with a provider of the test's own.
func pythonExample(t *testing.T, base string) string {
	t.Helper()
	dir := "../../../examples/custom-callback"
	const key = "api_key: os.environ/OPENAI_API_KEY"
	config := gatewaytest.ReadFile(t, filepath.Join(dir, "config.yaml"))
	if !strings.Contains(config, key) {
		t.Fatalf("the example has no %s", key)
	}
	t.Chdir(dir) // its README says so
	return strings.Replace(config, key, fmt.Sprintf("api_key: sk-provider\n      api_base: %q\n      num_retries: 0", base), 1)
}

// TestTheGuidesCustomLoggerPrintsItsLines runs the guide's Python class, unchanged,
// as the example does.
func TestTheGuidesCustomLoggerPrintsItsLines(t *testing.T) {
	p := gatewaytest.NewProvider(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "fail") {
			gatewaytest.FailWith(500)(w, r, body)
			return
		}
		gatewaytest.OpenAI(w, r, body)
	})
	s := gatewaytest.Start(t, pythonExample(t, p.Base()))
	for i, says := range []string{"hi", "fail"} {
		s.Post("/v1/chat/completions", fmt.Sprintf(`{"model":"gpt-4o","messages":[{"role":"user","content":%q}]}`, says))
		s.RequestLog(i + 1) // its last event is on its way by then, before those of the next
	}
	const began, took = `Chamando modelo: openai/gpt-4o`, `Requisição concluída em \d+\.\d\ds`
	expectLines(t, s.Stderr.String, began, took, `✅ Requisição bem-sucedida`, began, took, `❌ Requisição falhou`)
	if s.Stop(); strings.Contains(s.Stderr.String(), "Traceback") {
		t.Errorf("log:\n%s", s.Stderr)
	}
}
