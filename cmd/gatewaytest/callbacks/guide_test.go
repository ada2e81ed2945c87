package callbacks

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/cmd/asynctest"
	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
	"github.com/isthmus-proxy/isthmus/cmd/testring"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/callback/callbacktest"
)

// moved is a host that a block of the guide names, and what stands in its place.
type moved struct{ from, to string }

// guide is a block of the guide, with the one host of its own replaced by the
// other end's, and lines of the same section after it.
func guide(t *testing.T, name string, host moved, lines ...string) string {
	t.Helper()
	block := gatewaytest.ReadFile(t, "../../../routing/config/testdata/guide/"+name)
	if host.from != "" && !strings.Contains(block, host.from) {
		t.Fatalf("%s does not name %s", name, host.from)
	}
	return strings.TrimRight(strings.ReplaceAll(block, host.from, host.to), "\n") + "\n  " + strings.Join(lines, "\n  ") + "\n"
}

// sinkLines are what the scenarios need beside a block of the guide.
var sinkLines = []string{"cache: true", "cache_params: {type: local, ttl: 600}", "tenant_header: X-Tenant"}

// environment writes a file of variables and returns the flag that names it.
func environment(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--env-file=" + path
}

// startScenarios makes the requests of all scenarios and ends the gateway, which delivers what is left.
func startScenarios(t *testing.T, config string, args ...string) *gatewaytest.Gateway {
	t.Helper()
	g := newScenarioProvider(t)
	s := gatewaytest.Start(t, g.models()+config, append(args, "--concurrency", "1")...)
	for _, c := range scenarios() {
		g.run(t, s, c)
	}
	s.Stop()
	return s
}

// scenarioNames are the scenarios as the sinks tell them apart: the second request of a
// name is answered from the cache.
func scenarioNames() []string {
	var names []string
	for _, c := range scenarios() {
		if slices.Contains(names, c.name) {
			c.name += " hit"
		}
		names = append(names, c.name)
	}
	slices.Sort(names)
	return names
}

var update = flag.Bool("update", false, "rewrite the golden files")

// expectScenarios compares what a sink got, by the name of its scenario, with golden
// files; each scenario must be there once.
func expectScenarios(t *testing.T, sink string, got map[string][]string) {
	t.Helper()
	var names []string
	for name, all := range got {
		for range all {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(scenarioNames(), names); diff != "" {
		t.Errorf("one record for each request (-want +got):\n%s", diff)
	}
	for name, all := range got {
		path := filepath.Join("testdata/callback", sink, strings.ReplaceAll(name, " ", "-")+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(all[0]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(gatewaytest.ReadFile(t, path), all[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// changing is what differs from run to run, and what stands for it in the golden
// files. That times are right is checked on their own.
var changing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`("(?:startTime|endTime|completionStartTime|response_time|litellm_overhead_time_ms|ms)":\s?)[0-9.]+`), "${1}0"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`\b[A-Z2-7]{26}\b`), "CALL"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "KEY"},
}

func steady(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.instead)
	}
	return text
}

// TestTheGuidesWebhookGetsEveryRequestOnce has the block as it is written; only
// the host is the test's own. The failures come because a line asks for them.
func TestTheGuidesWebhookGetsEveryRequestOnce(t *testing.T) {
	t.Parallel()
	b := gatewaytest.NewWebhook(t)
	began, clock := time.Now(), asynctest.WatchStalls(t).Clock()
	s := startScenarios(t, guide(t, "13-webhook-verbose.yaml", moved{"https://seu-webhook.com", b.URL},
		append(sinkLines, `failure_callback: ["webhook"]`)...))
	_, late := clock()
	texts, records := b.Records(t)
	got := map[string][]string{}
	for i, r := range records {
		name := scenarioOf(string(r.EndUser), r.CacheHit)
		if err := texts[i].Indent(jsontext.WithIndent("  ")); err != nil {
			t.Fatal(err)
		}
		got[name] = append(got[name], steady(string(texts[i]))+"\n")
		checkTimes(t, name, &r, late)
		if r.StartTime.Before(began.Truncate(time.Microsecond)) {
			t.Errorf("%s: start %v, before the test's %v", name, r.StartTime, began)
		}
		if !strings.Contains(s.Stderr.String(), `"id":"`+r.CallID+`"`) {
			t.Errorf("%s: the call id %q is not that of the log", name, r.CallID)
		}
	}
	expectScenarios(t, "webhook", got)
	for _, path := range b.Paths() {
		if path != "/litellm-logs" {
			t.Errorf("posted to %s", path)
		}
	}
}

func scenarioOf(user string, hit bool) string {
	if hit {
		return user + " hit"
	}
	return user
}

// checkTimes checks that the times of a record fit each other. late is how late the
// machine was: its clock may have stood still for us between two readings of one
// moment.
func checkTimes(t *testing.T, name string, r *callback.Record, late time.Duration) {
	t.Helper()
	start, first, end := r.StartTime.Time, r.CompletionStartTime.Time, r.EndTime.Time
	took := end.Sub(start)
	if end.After(time.Now()) || first.Before(start) || first.After(end) || took <= 0 {
		t.Errorf("%s: start %v, first token %v, end %v", name, start, first, end)
	}
	streamed := r.Stream && r.HTTPStatus == 200
	want := map[bool]time.Duration{true: first.Sub(start), false: took}[streamed]
	if (time.Duration(r.ResponseTime) - want).Abs() > 2*time.Microsecond {
		t.Errorf("%s: response_time is %v, want %v", name, time.Duration(r.ResponseTime), want)
	}
	attempts := time.Duration(0)
	for _, a := range r.Attempts {
		attempts += time.Duration(a.Took)
	}
	overhead := time.Duration(r.HiddenParams.OverheadMs * float64(time.Millisecond))
	if attempts > took || len(r.Attempts) > 0 && attempts <= 0 || overhead <= 0 || overhead > took+late {
		t.Errorf("%s took %v: attempts of %v and %v of overhead", name, took, attempts, overhead)
	}
	// Envoy's timers count from when its loop last looked at the clock, which a busy
	// machine makes long ago.
	if strings.Contains(name, "stalled") && took < 1500*time.Millisecond {
		t.Errorf("%s took %v, though the timeout is two seconds", name, took)
	}
}

// TestABlockThatAsksForSuccessGetsNoFailures has the guide's webhook block without
// any other line.
func TestABlockThatAsksForSuccessGetsNoFailures(t *testing.T) {
	t.Parallel()
	b, g := gatewaytest.NewWebhook(t), newScenarioProvider(t)
	s := gatewaytest.Start(t, g.models()+guide(t, "13-webhook-verbose.yaml", moved{"https://seu-webhook.com", b.URL}), "--concurrency", "1")
	clock := asynctest.WatchStalls(t).Clock()
	for _, c := range scenarios()[:2] {
		g.run(t, s, c)
	}
	asynctest.Await(t, "the record leaves within two seconds", func() bool { _, r := b.Records(t); return len(r) > 0 })
	_, records := b.Records(t)
	_, late := clock()
	if age := time.Since(records[0].EndTime.Time); testring.JudgesTimes() && age-late > 4*time.Second {
		t.Errorf("the record came after %v (the machine was late by %v)", age, late)
	}
	s.Stop()
	if _, records = b.Records(t); len(records) != 1 || records[0].EndUser != "success" {
		t.Errorf("%d records: %+v", len(records), records)
	}
}

func TestTheGuidesLangfuseGetsEveryRequestOnce(t *testing.T) {
	t.Parallel()
	fake := &callbacktest.Langfuse{}
	startScenarios(t, guide(t, "11-langfuse.yaml", moved{"https://cloud.langfuse.com", fake.Start(t)}, sinkLines...),
		environment(t, "LANGFUSE_PUBLIC_KEY="+callbacktest.LangfusePublicKey, "LANGFUSE_SECRET_KEY="+callbacktest.LangfuseSecretKey))
	got := map[string][]string{}
	for _, span := range fake.Spans() {
		all := callbacktest.Attributes(span.Attributes)
		user := all["user.id"]
		if user == "ana" {
			user = "success" // its metadata names another user
		}
		name := scenarioOf(user, all["langfuse.observation.metadata.cache_hit"] == "true")
		text := callbacktest.ShowSpan(span)
		if user != "success" { // whose trace the client named
			text = regexp.MustCompile(`trace [0-9a-f]{32}`).ReplaceAllString(text, "trace TRACE")
		}
		text = regexp.MustCompile(`span [0-9a-f]{16}`).ReplaceAllString(text, "span SPAN")
		text = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`).ReplaceAllString(text, "TIME")
		got[name] = append(got[name], steady(text))
		first, end := all["langfuse.observation.completion_start_time"], time.Unix(0, int64(span.EndTimeUnixNano))
		at, err := time.Parse(`"`+time.RFC3339Nano+`"`, first)
		if err != nil || at.Before(time.Unix(0, int64(span.StartTimeUnixNano)).Truncate(time.Microsecond)) || at.After(end) {
			t.Errorf("%s: first token at %s, %v", name, first, err)
		}
	}
	expectScenarios(t, "langfuse", got)
}

func TestTheGuidesMLflowShowsEveryRequestOnce(t *testing.T) {
	t.Parallel()
	address := callbacktest.StartMLflow(t)
	startScenarios(t, guide(t, "12-mlflow.yaml", moved{"", ""}, append(sinkLines, `failure_callback: ["mlflow"]`)...),
		environment(t, "MLFLOW_TRACKING_URI="+address))
	got := map[string][]string{}
	for _, trace := range callbacktest.Traces(t, address, "litellm-production") {
		name := scenarioOf(trace.Metadata["mlflow.trace.user"], trace.Attributes.CacheHit)
		if trace.DurationMs < 0 || time.Since(time.UnixMilli(trace.StartMs)) > 10*time.Minute {
			t.Errorf("%s: start %d, duration %d", name, trace.StartMs, trace.DurationMs)
		}
		trace.StartMs, trace.DurationMs = 0, 0
		for _, m := range []map[string]string{trace.Tags, trace.Metadata} {
			for key := range m { // what MLflow notes for itself, and the version of isthmus
				if strings.HasPrefix(key, "mlflow.") && !strings.HasPrefix(key, "mlflow.trace.") || key == "service.version" ||
					key == "mlflow.trace.sizeStats" ||
					key == "mlflow.trace.sizeBytes" {
					delete(m, key)
				}
			}
		}
		text, err := json.Marshal(trace, json.Deterministic(true), jsontext.WithIndent("  "))
		if err != nil {
			t.Fatal(err)
		}
		got[name] = append(got[name], steady(string(text))+"\n")
	}
	expectScenarios(t, "mlflow", got)
}
