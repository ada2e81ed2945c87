package extproc

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// hopTo is a hop on a deployment of a group, so many groups after the first.
func hopTo(group, id string, fallback int) routing.Hop {
	return routing.Hop{
		Deployment: &routing.Deployment{ID: id, Group: group, Provider: "openai", Model: "up", InputCost: .5, OutputCost: 2},
		Group:      group,
		Model:      "up",
		Fallback:   fallback,
	}
}

func TestAttemptsAreCountedByHowTheyEnded(t *testing.T) {
	hop := hopTo("m", "d", 0)
	answered := outcome{status: 200, served: &hop, ended: endedWhole}
	left := outcome{status: 200, served: &hop, ended: endedClient}
	cut := outcome{status: 200, served: &hop, ended: endedUpstream}
	for _, tc := range []struct {
		name    string
		attempt attempt
		outcome outcome
		want    metrics.Outcome
		status  int
	}{
		{"a good answer", attempt{status: 200}, answered, metrics.Good, 200},
		{"a good answer that Envoy carried past us", attempt{}, answered, metrics.Good, 200},
		{"an answer that the client left", attempt{}, left, metrics.Abandoned, 200},
		{"an answer that the provider cut", attempt{}, cut, metrics.Failed, 200},
		{
			"an error", attempt{failed: true, status: 500, reason: "500 server_error"}, outcome{status: 500, ended: endedWhole}, metrics.Failed,
			500,
		},
		{"a connection that was refused", attempt{failed: true, reason: noAnswer}, outcome{status: 503, ended: endedWhole}, metrics.NoAnswer, 0},
		{
			"an attempt whose time was up", attempt{failed: true, reason: timedAnswer}, outcome{status: 504, ended: endedWhole}, metrics.TimedOut,
			0,
		},
		{
			"a request whose time was up", attempt{reason: "the request's time was up"}, outcome{status: 504, ended: endedWhole}, metrics.TimedOut,
			0,
		},
		{"a client that left before any answer", attempt{}, outcome{ended: endedClient}, metrics.Abandoned, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := &record{outcome: tc.outcome, attempts: []attemptRecord{{attempt: tc.attempt, hop: hop}}}
			rec.derive()
			if got := rec.attempts[0]; got.end != tc.want || got.code != tc.status {
				t.Errorf("it ended %s %d, want %s %d", got.end, got.code, tc.want, tc.status)
			}
		})
	}
}

func TestACascadeIsCountedStepByStep(t *testing.T) {
	last := hopTo("c", "d3", 2)
	rec := &record{
		endpoint: chat.Completions, asked: "a", stream: true, started: time.Unix(0, 0), took: 9 * time.Second,
		outcome: outcome{
			status:     200,
			served:     &last,
			ended:      endedWhole,
			firstToken: 7 * time.Second,
			result:     chat.Result{Usage: chat.Usage{Prompt: 10, Completion: 3}, HasUsage: true},
		},
		attempts: []attemptRecord{
			{hop: hopTo("a", "d1", 0), attempt: attempt{failed: true, status: 500, reason: "500", took: time.Second}},
			{hop: hopTo("b", "d2", 1), attempt: attempt{failed: true, reason: noAnswer, took: time.Second}},
			{hop: last, attempt: attempt{status: 200, began: time.Unix(5, 0), took: 4 * time.Second}},
		},
	}
	rec.derive()
	s := rec.metricsRequest()
	want := []metrics.Fallback{{To: "b", Status: 500}, {To: "c", Good: true}}
	if diff := cmp.Diff(want, s.Fallbacks); diff != "" {
		t.Errorf("fallbacks: %s", diff)
	}
	if s.Cost != 11 || s.Served.Group != "c" || s.Attempts[2].FirstToken != 2*time.Second {
		t.Errorf("cost %v, served by %v, first token of the attempt after %v", s.Cost, s.Served, s.Attempts[2].FirstToken)
	}
}

func TestOnlyErrorsOfOurOwnHaveACode(t *testing.T) {
	e := &upstream.Error{Status: 429, Type: "rate_limit_error", Code: "rate_limit_exceeded"}
	rec := &record{outcome: outcome{status: 429, failure: e, ended: endedWhole}}
	if got := rec.metricsRequest().Code; got != "rate_limit_exceeded" {
		t.Errorf("a refusal has the code %q", got)
	}
	rec.attempts = []attemptRecord{{hop: hopTo("m", "d", 0), attempt: attempt{failed: true, status: 429}}}
	if got := rec.metricsRequest().Code; got != "" {
		t.Errorf("a provider's error has the code %q", got)
	}
}

// theRecord is a streamed answer that the provider cut, after a deployment of another
// group had answered with 500.
func theRecord() *record {
	second := hopTo("n", "d2", 1)
	rec := &record{
		id: "id-1", endpoint: chat.Completions, model: "Asked", asked: "asked", caller: "team", stream: true,
		header: upstream.Header{{Name: ":path", Value: "/v1/chat/completions?key=secret"}, {Name: "authorization", Value: "Bearer secret"}},
		tags:   []string{"tag"}, started: time.Unix(100, 0), took: 9 * time.Second, overhead: time.Millisecond, queued: time.Second,
		cache: cache.Miss,
		outcome: outcome{
			by: byDeployment, status: 200, served: &second, ended: endedUpstream, firstByte: 3 * time.Second, firstToken: 4 * time.Second,
			result: chat.Result{ID: "resp-1", Model: "up-2026", Usage: chat.Usage{Prompt: 10, Completion: 3, Total: 13}, HasUsage: true},
		},
		attempts: []attemptRecord{
			{hop: hopTo("m", "d1", 0), attempt: attempt{failed: true, status: 500, reason: "500 server_error", took: time.Second}},
			{hop: second, after: 2 * time.Second, attempt: attempt{status: 200, answered: 200, reason: "the answer was cut (upstream)",
				began: time.Unix(102, 0), took: 7 * time.Second, firstByte: time.Second}},
		},
	}
	rec.derive()
	return rec
}

// TestTheLogSaysWhyAnAnswerDidNotComeToItsEnd, in the words of the records.
func TestTheLogSaysWhyAnAnswerDidNotComeToItsEnd(t *testing.T) {
	served := hopTo("m", "d", 0)
	for name, tc := range map[string]struct {
		outcome outcome
		code    string
	}{
		"a stream that broke off":                        {outcome{served: &served, status: 200, ended: endedUpstream}, "stream_cut"},
		"a stream that stalled":                          {outcome{served: &served, status: 200, ended: endedTimeout}, "stream_timeout"},
		"an answer that broke off while it was held":     {outcome{served: &served, status: 502, ended: endedUpstream}, "incomplete_answer"},
		"an answer that took too long while it was held": {outcome{served: &served, status: 504, ended: endedTimeout}, "upstream_timeout"},
		"a client that left before an answer":            {outcome{ended: endedClient}, "client_closed_request"},
		"a client that left a stream":                    {outcome{served: &served, status: 200, ended: endedClient}, ""},
		"a whole answer":                                 {outcome{served: &served, status: 200, ended: endedWhole}, ""},
	} {
		rec := &record{outcome: tc.outcome}
		code := ""
		for _, a := range rec.logAttrs() {
			if a.Key == "code" {
				code = a.Value.String()
			}
		}
		told := ""
		if e := rec.callbackRecord(&callback.Input{}).ErrorInformation; e != nil {
			told = e.Reason
		}
		if code != tc.code || told != tc.code {
			t.Errorf("%s: log %q, record %q, want %q", name, code, told, tc.code)
		}
	}
}

// TestAllWhoTellOfARequestTellTheSame: each fact is in the record once.
func TestAllWhoTellOfARequestTellTheSame(t *testing.T) {
	rec := theRecord()
	line := map[string]string{}
	for _, a := range rec.logAttrs() {
		line[a.Key] = a.Value.String()
	}
	wantLine := map[string]string{
		"id": "id-1", "endpoint": "chat/completions", "model": "Asked", "status": "200", "attempts": "2", "ms_first_byte": "3000", "ms": "9000",
		"deployment": "d2", "provider": "openai", "fallbacks": "1", "model_group": "n", "stream": "true", "ms_first_token": "4000",
		"cache": "miss", "caller": "team", "prompt_tokens": "10", "completion_tokens": "3", "ms_queued": "1000", "aborted": "upstream",
		"error": "server_error", "code": "stream_cut",
		"attempt_details": `d1;status=500;ms=1000;why="500 server_error", d2;status=200;ms=7000;why="the answer was cut (upstream)"`,
	}
	if diff := cmp.Diff(wantLine, line); diff != "" {
		t.Errorf("the log's line (-want +got):\n%s", diff)
	}
	m, s := rec.metricsRequest(), rec.traceSummary()
	p, c := rec.statusRequest(), rec.callbackRecord(&callback.Input{})
	for _, tc := range []struct {
		fact                           string
		metrics, span, page, callbacks any // nil: it does not tell
	}{
		{"the deployment", m.Served.Deployment, s.Deployment, p.Deployment, c.ModelID},
		{"its group", m.Served.Group, s.Group, p.Group, c.ModelGroup},
		{"the status", m.Status, s.Status, p.Status, c.HTTPStatus},
		{"the prompt's tokens", m.Tokens.Prompt, s.Usage.Input, p.Prompt, c.PromptTokens},
		{"the answer's tokens", m.Tokens.Completion, s.Usage.Output, p.Completion, c.CompletionTokens},
		{"the cost", m.Cost, s.Cost, nil, c.ResponseCost},
		{"the first token", m.FirstToken, s.FirstToken, nil, nil},
		{"the whole time", m.Duration, s.Took, nil, c.EndTime.Sub(c.StartTime.Time)},
		{"that it was cut", m.Aborted, s.ErrorType == "stream_error", p.Aborted, c.Aborted == callback.AbortedByUpstream},
		{"how many attempts were made", len(m.Attempts), len(s.Attempts), len(p.Attempts), len(c.Attempts)},
		{"the first attempt's status", m.Attempts[0].Status, s.Attempts[0].Status, p.Attempts[0].Status, c.Attempts[0].Status},
		{"the last attempt's end", m.Attempts[1].Outcome.ErrorType(200), s.Attempts[1].Error, nil, nil},
	} {
		for by, got := range map[string]any{"the span": tc.span, "the status page": tc.page, "the callbacks": tc.callbacks} {
			if got != nil && fmt.Sprint(got) != fmt.Sprint(tc.metrics) {
				t.Errorf("%s: the metrics have %v, %s: %v", tc.fact, tc.metrics, by, got)
			}
		}
	}
	if m.Cost != 11 || m.Served.Deployment != "d2" || !m.Aborted || !m.Failed || s.Path != "/v1/chat/completions" {
		t.Errorf("metrics: %+v, path %s", m, s.Path)
	}
	if c.Status != callback.Failure || c.Metadata.RequestRoute != "/v1/chat/completions" || c.Metadata.KeyAlias != "team" {
		t.Errorf("callbacks: %s, %+v", c.Status, c.Metadata)
	}
}

// TestAStoredAnswerIsToldAsTheDeploymentsThatGaveIt, and as free.
func TestAStoredAnswerIsToldAsTheDeploymentsThatGaveIt(t *testing.T) {
	rec := &record{
		id: "id-1", request: &chat.Request{}, model: "m", cache: cache.Hit, cacheKey: "key", prices: callback.Prices{Input: 1, Output: 1},
		outcome: outcome{
			by: byCache, status: 200, ended: endedWhole, result: chat.Result{Usage: chat.Usage{Prompt: 2, Completion: 3}, HasUsage: true},
			entry: &cache.Entry{Served: cache.Served{Deployment: "d", Provider: "openai", Group: "g", Model: "up"}},
		},
	}
	rec.derive()
	if p := rec.statusRequest(); p.Deployment != "d" || p.Group != "g" || p.Cache != "hit" || len(p.Attempts) > 0 {
		t.Errorf("the status page: %+v", p)
	}
	if m := rec.metricsRequest(); m.Served.Deployment != "" || m.Cost != 0 || m.Tokens.Prompt != 0 || m.Cache != "hit" {
		t.Errorf("the metrics: %+v", m)
	}
	if s := rec.traceSummary(); s.Usage != nil || s.Cost != 0 {
		t.Errorf("the span: %+v", s)
	}
	if c := rec.callbackRecord(&callback.Input{}); !c.CacheHit || c.ModelID != "d" || c.Model != "openai/up" || c.ResponseCost != 0 ||
		c.SavedCacheCost != 5 {
		t.Errorf("callbacks: %+v", c)
	}
}

func TestARequestThatTheClientLeftBeforeAnyAnswerIsAFailureToCallbacksAlone(t *testing.T) {
	rec := &record{id: "id-1", model: "m", outcome: outcome{by: byDisconnect, ended: endedClient}}
	rec.derive()
	if c := rec.callbackRecord(&callback.Input{}); c.Status != callback.Failure || c.HTTPStatus != 499 ||
		c.Aborted != callback.AbortedByClient {
		t.Errorf("callbacks: %s %d %s", c.Status, c.HTTPStatus, c.Aborted)
	}
	if m := rec.metricsRequest(); m.Failed || !m.Aborted || m.Status != 0 {
		t.Errorf("the metrics: %+v", m)
	}
}
