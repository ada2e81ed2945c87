package mlflow

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// want is what MLflow has to show of a record.
type want struct {
	record  *callback.Record
	seen    callbacktest.Trace
	spanTag map[string]string // trace tags beside those of MLflow
}

func TestRealMLflowShowsTheRequests(t *testing.T) {
	address := callbacktest.StartMLflow(t)
	now := time.Now()
	poster := callback.NewPoster(callback.PosterConfig{})
	defer poster.Close()
	sink := New(Config{TrackingURI: address + "/", ExperimentName: "litellm-production", Version: "1"}, poster,
		func() time.Time { return now })
	records := callbacktest.New()
	q := callback.NewQueue(sink, callback.QueueConfig{
		Name: "mlflow", Rand: func() float64 { return 0 }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	for _, r := range records.All() {
		q.Add(r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := q.Close(ctx); err != nil {
		t.Fatal(err)
	}
	// What is delivered twice must be seen once.
	if err := sink.Deliver(t.Context(), records.All()); err != nil {
		t.Fatal(err)
	}
	found := callbacktest.Traces(t, address, "litellm-production")
	if len(found) != len(records.All()) {
		t.Errorf("%d traces, want %d", len(found), len(records.All()))
	}
	for _, w := range expectations(records) {
		t.Run(w.record.CallID, func(t *testing.T) { compare(t, w, found[w.record.CallID]) })
	}
	t.Run("an experiment that was deleted comes back", func(t *testing.T) {
		err := poster.PostJSON(t.Context(), callback.Post{URL: address + "/api/2.0/mlflow/experiments/delete"}, struct {
			ID string `json:"experiment_id"`
		}{sink.experiment}, nil)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(memory)
		again := callbacktest.New().Success
		again.CallID = "call-after"
		if err := sink.Deliver(t.Context(), []*callback.Record{again}); err != nil {
			t.Fatal(err)
		}
		answer, err := poster.Do(t.Context(), callback.Post{Method: "GET", URL: address +
			"/api/2.0/mlflow/experiments/get-by-name?experiment_name=litellm-production"})
		if err != nil || !strings.Contains(string(answer), `"active"`) {
			t.Errorf("%v: %s", err, answer)
		}
		if _, ok := callbacktest.Traces(t, address, "litellm-production")["call-after"]; !ok {
			t.Error("the trace is not there")
		}
	})
}

func compare(t *testing.T, w want, got callbacktest.Trace) {
	r := w.record
	if got.Experiment != "litellm-production" || got.Spans != 1 {
		t.Errorf("experiment %q, %d spans", got.Experiment, got.Spans)
	}
	if got.StartMs != r.StartTime.UnixMilli() || got.DurationMs != r.EndTime.Sub(r.StartTime.Time).Milliseconds() {
		t.Errorf("start %d, duration %d ms", got.StartMs, got.DurationMs)
	}
	for name, value := range w.spanTag {
		if got.Tags[name] != value {
			t.Errorf("tag %s is %q, want %q", name, got.Tags[name], value)
		}
	}
	if user := got.Metadata["mlflow.trace.user"]; user != string(r.EndUser) {
		t.Errorf("user %q", user)
	}
	if session := got.Metadata["mlflow.trace.session"]; session != r.SessionID {
		t.Errorf("session %q", session)
	}
	cost := got.Metadata["mlflow.trace.cost"]
	if r.CostBreakdown != nil && !strings.Contains(cost, `"total_cost": 0.0004`) || r.CacheHit && cost != "" &&
		!strings.Contains(cost, `"total_cost": 0.0}`) {
		t.Errorf("cost %s", cost)
	}
	w.seen.Experiment, w.seen.Spans, w.seen.StartMs, w.seen.DurationMs = got.Experiment, got.Spans, got.StartMs, got.DurationMs
	w.seen.Tags, w.seen.Metadata = got.Tags, got.Metadata
	w.seen.Attributes.Model, w.seen.Attributes.LLMModel, w.seen.Attributes.Provider = r.Model, r.HiddenParams.ModelName, string(r.Provider)
	w.seen.Attributes.Group, w.seen.Attributes.CacheHit, w.seen.Attributes.SessionID = r.ModelGroup, r.CacheHit, r.SessionID
	w.seen.Attributes.Aborted = string(r.Aborted)
	w.seen.Attributes.Attempts = got.Attributes.Attempts
	for _, v := range []*callbacktest.Trace{&w.seen, &got} {
		_ = v.Inputs.Canonicalize()
		_ = v.Outputs.Canonicalize()
	}
	if diff := cmp.Diff(w.seen, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(r.Attempts) > 0 && !strings.Contains(string(got.Attributes.Attempts), r.Attempts[len(r.Attempts)-1].Deployment) {
		t.Errorf("attempts are %s", got.Attributes.Attempts)
	}
}

func TestAServerWithoutTracesIsSaidPlainly(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/2.0/mlflow/experiments/get-by-name", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" || r.URL.Query().Get("experiment_name") != "a b&c" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = io.WriteString(w, `{"experiment":{"experiment_id":"7"}}`)
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	poster := callback.NewPoster(callback.PosterConfig{})
	defer poster.Close()
	sink := New(Config{TrackingURI: strings.Replace(server.URL, "http://", "http://u:p@", 1), ExperimentName: "a b&c"}, poster, time.Now)
	err := sink.Deliver(t.Context(), callbacktest.New().All())
	if err == nil || !callback.IsPermanent(err) || !strings.Contains(err.Error(), "MLflow 3.6 or newer") ||
		strings.Contains(err.Error(), "u:p") {
		t.Errorf("%v", err)
	}
}

func TestCredentials(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"of the URI": {Config{TrackingURI: "https://ana:s3cret@mlflow.example/"}, "Basic YW5hOnMzY3JldA=="},
		"user and password": {Config{TrackingURI: "https://mlflow.example", Username: "ana", Password: secret.New("s3cret")},
			"Basic YW5hOnMzY3JldA=="},
		"a token wins": {Config{TrackingURI: "https://mlflow.example", Username: "ana", Token: secret.New("tok")}, "Bearer tok"},
	} {
		s := New(c.config, nil, time.Now)
		if len(s.headers) != 1 || s.headers[0].Value.Reveal() != c.want || s.config.TrackingURI != "https://mlflow.example" {
			t.Errorf("%s: %q at %s", name, s.headers[0].Value.Reveal(), s.config.TrackingURI)
		}
	}
}
