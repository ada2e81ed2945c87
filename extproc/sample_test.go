package extproc

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/metrics"
	"github.com/isthmus-proxy/isthmus/routing"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// hopTo is a hop on a deployment of a group, so many groups after the first.
func hopTo(group, id string, fallback int) routing.Hop {
	return routing.Hop{Deployment: &routing.Deployment{ID: id, Group: group, Provider: "openai", Model: "up", InputCost: .5, OutputCost: 2}, Group: group, Model: "up", Fallback: fallback}
}

func TestAttemptsAreCountedByHowTheyEnded(t *testing.T) {
	hop := hopTo("m", "d", 0)
	answered := outcome{status: 200, served: &hop, ended: endedWhole}
	left := outcome{status: 200, served: &hop, ended: endedClient}
	cut := outcome{status: 200, served: &hop, ended: endedUpstream}
	for _, tc := range []struct {
		name    string
		attempt attemptRecord
		outcome outcome
		want    metrics.Outcome
		status  int
	}{
		{"a good answer", attemptRecord{status: 200}, answered, metrics.Good, 200},
		{"a good answer that Envoy carried past us", attemptRecord{}, answered, metrics.Good, 200},
		{"an answer that the client left", attemptRecord{}, left, metrics.Abandoned, 200},
		{"an answer that the provider cut", attemptRecord{}, cut, metrics.Failed, 200},
		{"an error", attemptRecord{failed: true, status: 500, reason: "500 server_error"}, outcome{status: 500, ended: endedWhole}, metrics.Failed, 500},
		{"a connection that was refused", attemptRecord{failed: true, reason: noAnswer}, outcome{status: 503, ended: endedWhole}, metrics.NoAnswer, 0},
		{"an attempt whose time was up", attemptRecord{failed: true, reason: timedAnswer}, outcome{status: 504, ended: endedWhole}, metrics.TimedOut, 0},
		{"a request whose time was up", attemptRecord{reason: "the request's time was up"}, outcome{status: 504, ended: endedWhole}, metrics.TimedOut, 0},
		{"a client that left before any answer", attemptRecord{}, outcome{ended: endedClient}, metrics.Abandoned, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := &record{outcome: tc.outcome, attempts: []attemptRecord{tc.attempt}}
			if got, status := rec.ended(0); got != tc.want || status != tc.status {
				t.Errorf("ended = %s %d, want %s %d", got, status, tc.want, tc.status)
			}
		})
	}
}

func TestACascadeIsCountedStepByStep(t *testing.T) {
	last := hopTo("c", "d3", 2)
	rec := &record{
		endpoint: chat.Completions, asked: "a", stream: true, started: time.Unix(0, 0), took: 9 * time.Second,
		outcome: outcome{status: 200, served: &last, ended: endedWhole, firstToken: 7 * time.Second, result: chat.Result{Usage: chat.Usage{Prompt: 10, Completion: 3}, HasUsage: true}},
		attempts: []attemptRecord{
			{hop: hopTo("a", "d1", 0), failed: true, status: 500, reason: "500", took: time.Second},
			{hop: hopTo("b", "d2", 1), failed: true, reason: noAnswer, took: time.Second},
			{hop: last, status: 200, began: time.Unix(5, 0), took: 4 * time.Second},
		},
	}
	s := rec.sample()
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
	if got := rec.sample().Code; got != "rate_limit_exceeded" {
		t.Errorf("a refusal has the code %q", got)
	}
	rec.attempts = []attemptRecord{{hop: hopTo("m", "d", 0), failed: true, status: 429}}
	if got := rec.sample().Code; got != "" {
		t.Errorf("a provider's error has the code %q", got)
	}
}

// count is the value of the first counter of a name that has the label.
func (h *house) count(t *testing.T, name, label, value string) float64 {
	t.Helper()
	families, err := h.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}
