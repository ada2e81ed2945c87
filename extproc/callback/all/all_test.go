package all

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
	"github.com/isthmus-proxy/isthmus/routing/config"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is the other end of a sink: it keeps what it was sent.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	paths  []string
	bodies [][]byte
	at     []time.Time
	came   chan struct{}
}

func newServer(t *testing.T) *server {
	s := &server{came: make(chan struct{}, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.paths, s.bodies, s.at = append(s.paths, r.URL.Path), append(s.bodies, body), append(s.at, time.Now())
		s.mu.Unlock()
		if strings.HasSuffix(r.URL.Path, "get-by-name") {
			_, _ = io.WriteString(w, `{"experiment":{"experiment_id":"1"}}`)
		}
		s.came <- struct{}{}
	}))
	t.Cleanup(s.Close)
	return s
}

// load reads one of the guide's blocks, with the words of replace replaced by
// what a test needs, in an environment.
func load(t *testing.T, block string, environment map[string]string, replace ...string) config.Callbacks {
	t.Helper()
	text, err := os.ReadFile("../../../routing/config/testdata/guide/" + block)
	if err != nil {
		t.Fatal(err)
	}
	models := "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/m\n      api_base: http://127.0.0.1:1/v1\n"
	c, _, err := config.Parse("config.yaml", []byte(models+strings.NewReplacer(replace...).Replace(string(text))), config.Options{
		Strict: true, Lookup: func(name string) (string, bool) { v, ok := environment[name]; return v, ok },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Callbacks
}

func deps(log io.Writer) Deps {
	return Deps{Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Rand: func() float64 { return 0.5 }, Version: "1.2.3"}
}

func closeAll(t *testing.T, s *Set) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestTheGuidesWebhookBlock(t *testing.T) {
	to := newServer(t)
	s, err := Open(load(t, "13-webhook-verbose.yaml", nil, "https://seu-webhook.com", to.URL), deps(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Wants{Success: true}, s.Wants()); diff != "" {
		t.Errorf("wants (-want +got)\n%s", diff)
	}
	records := callbacktest.New()
	clock := asynctest.WatchStalls(t).Clock()
	for _, r := range records.All() {
		s.Record(r, callback.Inherit)
	}
	select {
	case <-to.came:
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came")
	}
	if took, late := clock(); testring.JudgesTimes() && took-late > 2*time.Second {
		t.Errorf("the batch left after %v", took)
	}
	closeAll(t, s)
	var got []callback.Record
	if err := json.Unmarshal(to.bodies[0], &got); err != nil {
		t.Fatal(err)
	}
	if len(to.bodies) != 1 || len(got) != len(records.All())-1 || to.paths[0] != "/litellm-logs" {
		t.Errorf("%d requests to %v, %d records, want all but the failure", len(to.bodies), to.paths, len(got))
	}
	if st := s.Stats(); len(st) != 1 || st[0].Name != "webhook" || st[0].Sent != 6 {
		t.Errorf("%+v", st)
	}
}

func TestTheGuidesLangfuseBlock(t *testing.T) {
	to := newServer(t)
	environment := map[string]string{"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-1"}
	s, err := Open(load(t, "11-langfuse.yaml", environment, "https://cloud.langfuse.com", to.URL), deps(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range callbacktest.New().All() {
		s.Record(r, callback.Inherit)
	}
	closeAll(t, s)
	var traces tracepb.TracesData
	if len(to.bodies) != 1 || proto.Unmarshal(to.bodies[0], &traces) != nil {
		t.Fatalf("requests to %v", to.paths)
	}
	if n := len(traces.ResourceSpans[0].ScopeSpans[0].Spans); n != 7 {
		t.Errorf("%d spans, want successes and failures", n)
	}
}

func TestTheGuidesMLflowBlock(t *testing.T) {
	to := newServer(t)
	s, err := Open(load(t, "12-mlflow.yaml", map[string]string{"MLFLOW_TRACKING_URI": to.URL}), deps(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	s.Record(callbacktest.New().Success, callback.Inherit)
	closeAll(t, s)
	if diff := cmp.Diff([]string{"/api/2.0/mlflow/experiments/get-by-name", "/v1/traces"}, to.paths); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEverySinkGetsTheSameRecordRedacted(t *testing.T) {
	to := newServer(t)
	var seen []*callback.Event
	hooks := &callback.Hooks{
		PreAPICall:   func(_ context.Context, e *callback.Event) { seen = append(seen, e) },
		SuccessEvent: func(_ context.Context, e *callback.Event) { seen = append(seen, e) },
	}
	d := deps(io.Discard)
	d.Hooks = []*callback.Hooks{hooks}
	s, err := Open(config.Callbacks{Success: []string{"webhook"}, Webhook: config.Webhook{URL: to.URL, Secret: secret.New("k")},
		RedactMessages: true}, d)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Wants{Success: true, PreAPICall: true}, s.Wants()); diff != "" {
		t.Errorf("wants (-want +got)\n%s", diff)
	}
	s.Event(&callback.Event{Hook: callback.PreAPICall, CallID: "c", Messages: jsontext.Value(`[{"role":"user","content":"SECRET"}]`)},
		callback.Inherit)
	s.Event(&callback.Event{Hook: callback.PostAPICall, CallID: "c"}, callback.Inherit) // nobody wants it
	r := &callback.Record{CallID: "c", Status: callback.Success, Messages: jsontext.Value(`"SECRET"`),
		Response: jsontext.Value(`{"x":"SECRET"}`)}
	r.SetUsage(chat.Usage{Prompt: 1, Total: 1}, callback.Prices{})
	s.Record(r, callback.Inherit)
	s.Record(&callback.Record{CallID: "d", Status: callback.Failure}, callback.Inherit) // nobody wants it
	closeAll(t, s)
	if len(seen) != 2 || seen[0].Hook != callback.PreAPICall || seen[1].Hook != callback.SuccessEvent || seen[1].Record != r {
		t.Errorf("hooks saw %+v", seen)
	}
	text, err := json.Marshal(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range append(to.bodies, text) {
		if bytes.Contains(body, []byte("SECRET")) || !bytes.Contains(body, []byte("redacted-by-litellm")) {
			t.Errorf("not redacted: %s", body)
		}
	}
}

func TestAProgramHearsOfWhatItsListSays(t *testing.T) {
	dir := t.TempDir()
	line := `exec:ISTHMUS_HOOKS=stream_event,success_event,failure_event sh -c "cat > '` + dir + `/events'"`
	s, err := Open(config.Callbacks{Failure: []string{line, "prometheus"}}, deps(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Wants{Failure: true, StreamEvent: true}, s.Wants()); diff != "" {
		t.Errorf("wants (-want +got)\n%s", diff)
	}
	r := callbacktest.New()
	s.Event(&callback.Event{Hook: callback.StreamEvent, CallID: "call-failure", Chunk: jsontext.Value(`{"id":"1"}`)}, callback.Inherit)
	s.Record(r.Success, callback.Inherit)
	s.Record(r.Failure, callback.Inherit)
	closeAll(t, s)
	text, err := os.ReadFile(dir + "/events")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for event := range bytes.Lines(text) {
		var e callback.Event
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, string(e.Hook)+" "+e.CallID)
	}
	if diff := cmp.Diff([]string{"stream_event call-failure", "failure_event call-failure"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestAWrongCommandIsAnError(t *testing.T) {
	if _, err := Open(config.Callbacks{Success: []string{`exec:"open`}}, deps(io.Discard)); err == nil ||
		!strings.Contains(err.Error(), "quote") {
		t.Errorf("%v", err)
	}
}

func TestASetWithoutSinksDoesNothing(t *testing.T) {
	var none *Set
	none.Record(&callback.Record{}, callback.Inherit)
	none.Event(&callback.Event{}, callback.Inherit)
	if none.Wants() != (Wants{}) || none.Stats() != nil || none.Close(t.Context()) != nil {
		t.Error("a nil set does something")
	}
}

func TestRecordsThatCannotBeDeliveredSurviveOnDisk(t *testing.T) {
	to := newServer(t)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	dir := t.TempDir() + "/spill"
	d := deps(io.Discard)
	s, err := Open(config.Callbacks{Success: []string{"webhook"}, Webhook: config.Webhook{URL: away.URL}, SpillDir: dir}, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range callbacktest.New().All() {
		s.Record(r, callback.Inherit)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("nothing is lost, but close says %v", err)
	}
	s, err = Open(config.Callbacks{Success: []string{"webhook"}, Webhook: config.Webhook{URL: to.URL}, SpillDir: dir}, d)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(t, s)
	var got []callback.Record
	if len(to.bodies) != 1 || json.Unmarshal(to.bodies[0], &got) != nil || len(got) != 6 {
		t.Errorf("%d requests, %d records", len(to.bodies), len(got))
	}
}
