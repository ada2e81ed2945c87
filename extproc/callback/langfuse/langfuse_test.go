package langfuse

import (
	"encoding/hex"
	"flag"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", path, diff)
	}
}

func TestSpansSayEverything(t *testing.T) {
	fake := &callbacktest.Langfuse{}
	records := callbacktest.New().All()
	if err := start(t, fake).Deliver(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if len(fake.Spans()) != len(records) {
		t.Fatalf("%d spans for %d records: one generation each", len(fake.Spans()), len(records))
	}
	for i, r := range records {
		golden(t, strings.TrimPrefix(r.CallID, "call-")+".span", callbacktest.ShowSpan(fake.Spans()[i]))
	}
}

// start gives a sink whose other end is a strict Langfuse.
func start(t *testing.T, fake *callbacktest.Langfuse) *Sink {
	poster := callback.NewPoster(callback.PosterConfig{})
	t.Cleanup(poster.Close)
	return New(Config{
		PublicKey: callbacktest.LangfusePublicKey, SecretKey: secret.New(callbacktest.LangfuseSecretKey), Host: fake.Start(t), Version: "1.2",
	}, poster)
}

// TestFieldsOfTheTable asserts what the golden files hold in so many words: the
// fields of LiteLLM's table.
func TestFieldsOfTheTable(t *testing.T) {
	r := callbacktest.New()
	span := func(r *callback.Record) map[string]string {
		s := newEntry(r).span()
		all := callbacktest.Attributes(s.Attributes)
		all["trace id"], all["span id"], all["name"] = hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId), s.Name
		return all
	}
	for _, c := range []struct {
		what        string
		record      *callback.Record
		name, value string
	}{
		{"trace.name", r.Success, "langfuse.trace.name", "litellm-acompletion"},
		{"trace.name of the metadata", r.Stream, "langfuse.trace.name", "atendimento"},
		{"trace.id that is a W3C id", r.Stream, "trace id", "0af7651916cd43dd8448eb211c80319c"},
		{"trace.sessionId", r.Stream, "session.id", "sess-9"},
		{"trace.userId", r.Success, "user.id", "ana"},
		{"trace.userId of the metadata", r.Stream, "user.id", "cliente-7"},
		{"trace.tags", r.Success, "langfuse.trace.tags", "team:search|beta"},
		{"trace.version", r.Stream, "langfuse.version", "v3"},
		{"trace.release", r.Stream, "langfuse.release", "r1"},
		{"trace.metadata", r.Stream, "langfuse.trace.metadata", `{"canal":"web"}`},
		{"generation.name of the metadata", r.Stream, "name", "resposta"},
		{"generation.name", r.Success, "name", "litellm-acompletion"},
		{"generation.model", r.Cascade, "langfuse.observation.model.name", "claude-3-opus-20240229"},
		{"modelParameters", r.Success, "langfuse.observation.model.parameters", `{"temperature":0.5,"max_tokens":64,"user":"ana"}`},
		{"modelParameters without the tools", r.Stream, "langfuse.observation.model.parameters", `{"temperature":0.5,"stream":true}`},
		{"input with the tools", r.Stream, "langfuse.observation.input",
			`{"messages":[{"role":"system","content":"Sê breve."},{"role":"user","content":"Olá"}],"tools":[{"type":"function",` +
				`"function":{"name":"f"}}]}`},
		{"output is the first choice's message", r.Success, "langfuse.observation.output", `{"role":"assistant","content":"Oi!"}`},
		{"output so far of a stream that was left", r.Aborted, "langfuse.observation.output", `{"role":"assistant","content":"Era uma"}`},
		{"usageDetails", r.Success, "langfuse.observation.usage_details",
			`{"input":60,"output":20,"total":120,"cache_creation_input_tokens":0,"cache_read_input_tokens":40}`},
		{"costDetails", r.Success, "langfuse.observation.cost_details", `{"input":0.0002,"output":0.0002,"total":0.0004}`},
		{"a cache hit costs nothing", r.CacheHit, "langfuse.observation.cost_details", `{"input":0,"output":0,"total":0}`},
		{"completionStartTime", r.Stream, "langfuse.observation.completion_start_time", `"2026-11-24T10:00:02.120000Z"`},
		{"level", r.Success, "langfuse.observation.level", "DEFAULT"},
		{"level of a failure", r.Failure, "langfuse.observation.level", "ERROR"},
		{"statusMessage", r.Failure, "langfuse.observation.status_message", "RateLimitError: Rate limit reached"},
		{"output of a failure", r.Failure, "langfuse.observation.output", `"Rate limit reached"`},
		{"level of a stream that was left", r.Aborted, "langfuse.observation.level", "WARNING"},
		{"cache_hit", r.CacheHit, "langfuse.observation.metadata.cache_hit", "true"},
		{"the client's metadata", r.Stream, "langfuse.observation.metadata.tenant", "acme"},
		{"attempts", r.Cascade, "langfuse.observation.metadata.attempts",
			`[{"model_group":"my-model","deployment":"dep-1","provider":"openai","status":503,"ms":20.0,"reason":"503"},` +
				`{"model_group":"my-model","deployment":"dep-2","provider":"azure","status":0,"ms":30.0,"reason":"no answer"},` +
				`{"model_group":"backup","deployment":"dep-3","provider":"anthropic","status":200,"ms":740.0,"reason":""}]`},
	} {
		if got := span(c.record)[c.name]; got != c.value {
			t.Errorf("%s: %s is %q, want %q", c.what, c.name, got, c.value)
		}
	}
	if _, there := span(r.Failure)["langfuse.observation.usage_details"]; there {
		t.Error("a failure without tokens has usage details")
	}
}

func TestMetadataThatIsOdd(t *testing.T) {
	r := callbacktest.New().Success
	r.Metadata.Requester = jsontext.Value(`{"trace_id":12345,"trace_name":{"no":"text"},"session_id":null,"mask_input":true,` +
		`"mask_output":"true","existing_trace_id":"","litellm_call_id":"forged"}`)
	e := newEntry(r)
	all := callbacktest.Attributes(e.span().Attributes)
	if e.traceID != hex.EncodeToString(hash("12345")) || e.traceName != "litellm-acompletion" || string(e.input) != `"redacted-by-litellm"` ||
		string(e.output) != `"redacted-by-litellm"` {
		t.Errorf("%+v", e)
	}
	if all["langfuse.observation.metadata.litellm_call_id"] != "call-success" {
		t.Errorf("a client's metadata replaces ours: %s", all["langfuse.observation.metadata.litellm_call_id"])
	}
	r.Metadata.Requester = jsontext.Value(`{"existing_trace_id":"abc","parent_observation_id":"00f067aa0ba902b7"}`)
	e = newEntry(r)
	all = callbacktest.Attributes(e.span().Attributes)
	if e.traceID != hex.EncodeToString(hash("abc")) || e.parent != "00f067aa0ba902b7" || all["langfuse.trace.name"] != "" ||
		all["langfuse.trace.input"] != "" {
		t.Errorf("a continued trace is changed: %v", all)
	}
}

func TestTheSameRecordHasTheSameIDs(t *testing.T) {
	a, b := newEntry(callbacktest.New().Success), newEntry(callbacktest.New().Success)
	if a.traceID != b.traceID || a.generationID != b.generationID {
		t.Error("a repeated delivery would be a second trace")
	}
}

func TestHostsWithoutOTLPGetTheIngestionAPI(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusMethodNotAllowed} {
		fake := &callbacktest.Langfuse{NoOTLP: status}
		sink := start(t, fake)
		records := callbacktest.New()
		for _, r := range records.All() {
			if err := sink.Deliver(t.Context(), []*callback.Record{r}); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(strings.Join(fake.Paths(), " "), "otel"); n != 1 {
			t.Errorf("the OTLP endpoint was asked %d times", n)
		}
		for i, r := range records.All() {
			body := jsontext.Value(fake.Bodies()[i])
			if err := body.Indent(jsontext.WithIndent("\t")); err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimPrefix(r.CallID, "call-")+".json", string(body)+"\n")
		}
	}
}

func TestIngestionErrors(t *testing.T) {
	for answer, permanent := range map[string]bool{
		`{"errors":[{"id":"1","status":400,"message":"bad"}]}`:                                          true,
		`{"errors":[{"id":"1","status":400,"message":"bad"},{"id":"2","status":503,"message":"busy"}]}`: false,
		`<html>`: false,
	} {
		fake := &callbacktest.Langfuse{NoOTLP: 404, Refuse: answer}
		err := start(t, fake).Deliver(t.Context(), callbacktest.New().All())
		if err == nil || callback.IsPermanent(err) != permanent {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

func TestAWrongKeyIsPermanent(t *testing.T) {
	fake := &callbacktest.Langfuse{}
	sink := start(t, fake)
	wrong := New(Config{PublicKey: "pk", Host: sink.host}, sink.poster)
	err := wrong.Deliver(t.Context(), callbacktest.New().All())
	if !callback.IsPermanent(err) || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v", err)
	}
}

// hash is the 16 bytes that a trace id is made of.
func hash(text string) []byte {
	id, _ := hex.DecodeString(newEntry(&callback.Record{TraceID: text}).traceID)
	return id
}

func BenchmarkDeliver(b *testing.B) {
	records := callbacktest.New().All()
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range records {
			_ = newEntry(r).span()
		}
	}
}
