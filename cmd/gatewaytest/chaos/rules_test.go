package chaos

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
)

// wellObserved is a row at which nothing is wrong: one request, answered at its second
// attempt.
func wellObserved() *observed {
	began := time.Unix(1_800_000_000, 0)
	end := began.Add(300 * time.Millisecond)
	k := kinds()[slices.IndexFunc(kinds(), func(k kind) bool { return k.name == "limited" })]
	return &observed{
		requests: []request{{kind: k, tag: "tag-limited-1", text: "tag-limited-1", began: began, ended: end, status: 200, id: "id-1",
			attempts: "2", how: answered}},
		records: []callback.Record{{CallID: "id-1", TraceID: "tag-limited-1", Status: callback.Success, HTTPStatus: 200, ModelID: "limited-good",
			StartTime: callback.At(began), EndTime: callback.At(end), TotalTokens: 5, Attempts: []callback.Attempt{
				{Deployment: "limited-bad"}, {Deployment: "limited-good", Status: 200}}}},
		calls:   map[call]int{{"limited-bad", "tag-limited-1"}: 1, {"limited-good", "tag-limited-1"}: 1},
		before:  map[string]float64{"go_goroutines": 50},
		metrics: map[string]float64{"go_goroutines": 55, "isthmus_requests_total": 1, "isthmus_attempts_total": 2},
		windows: map[string]window{"limited-good": {map[int64]int64{began.Unix(): 1}, map[int64]int64{began.Unix(): 5}},
			"limited-bad": {map[int64]int64{began.Unix(): 1}, map[int64]int64{began.Unix(): 17}}},
		now: end,
	}
}

func TestEachRuleIsBrokenByWhatItForbids(t *testing.T) {
	usual := row{name: "usual", answered: []string{"steady"}}
	for name, tc := range map[string]struct {
		row   row
		spoil func(*observed)
		rule  string // ""; none is broken
	}{
		"all is well": {usual, func(*observed) {}, ""},
		"late":        {usual, func(o *observed) { o.requests[0].how = late }, "a request outlives its deadline"},
		"neither":     {usual, func(o *observed) { o.requests[0].how = wrong }, "a request is neither answered nor fails cleanly"},
		"no answer":   {usual, func(o *observed) { o.requests[0].how = unreachable }, "a request has no answer, not even an error"},
		"no answer of an Envoy that is dead": {row{dark: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].status, o.records[0].Status = unreachable, 0, callback.Failure
		}, ""},
		"cut": {usual, func(o *observed) { o.requests[0].how, o.records[0].Status = cut, callback.Failure },
			"an answer that had begun is cut off"},
		"cut by a provider": {row{cuts: true}, func(o *observed) { o.requests[0].how, o.records[0].Status = cut, callback.Failure }, ""},
		"noise in a stream of the Responses API": {row{relays: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].kind.path, o.requests[0].kind.stream = wrong, responsesPath, true
		}, ""},
		"noise in place of vectors": {row{relays: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].kind.path = wrong, embeddingsPath
		}, ""},
		"noise in another answer": {row{relays: true}, func(o *observed) { o.requests[0].how = wrong },
			"a request is neither answered nor fails cleanly"},
		"endless": {usual, func(o *observed) { o.requests[0].how = left }, "an answer is endless"},
		"failed": {usual, func(o *observed) {
			o.requests[0].how, o.requests[0].status, o.records[0].Status, o.records[0].HTTPStatus = failed, 503, callback.Failure, 503
		}, ""},
		"failed before the fault": {usual, func(o *observed) {
			o.requests[0].how, o.requests[0].status, o.records[0].Status, o.records[0].HTTPStatus = failed, 503, callback.Failure, 503
			o.requests[0].calm = true
		}, "a request fails that no fault keeps from its answer"},
		"failed where all are answered": {row{answered: []string{"*"}}, func(o *observed) {
			o.requests[0].how, o.requests[0].status, o.records[0].Status, o.records[0].HTTPStatus = failed, 503, callback.Failure, 503
		}, "a request fails that no fault keeps from its answer"},
		"two records": {usual, func(o *observed) {
			more := o.records[0]
			more.CallID = "id-2"
			o.records = append(o.records, more)
		}, "a request has more than one record"},
		"a record that comes twice": {usual, func(o *observed) { o.records = append(o.records, o.records[0]) }, ""},
		"no record":                 {usual, func(o *observed) { clear(o.metrics); o.records = nil }, "a request has no record"},
		"no record of what the service lost": {row{loses: true, anew: true}, func(o *observed) {
			o.records, o.faults = nil, []time.Time{o.requests[0].ended}
			o.metrics["isthmus_requests_total"] = 0
		}, ""},
		"no record of what it had to tell long before": {row{loses: true, anew: true}, func(o *observed) {
			o.records, o.faults = nil, []time.Time{o.requests[0].ended.Add(time.Minute)}
		}, "a request has no record"},
		"an estimate of what the service lost": {row{loses: true}, func(o *observed) {
			o.faults = []time.Time{o.requests[0].ended}
			o.windows["limited-good"].tokens[o.now.Unix()] = 17
		}, ""},
		"an estimate of what it had to tell long before": {row{loses: true}, func(o *observed) {
			o.faults = []time.Time{o.requests[0].ended.Add(time.Minute)}
			o.windows["limited-good"].tokens[o.now.Unix()] = 17
		}, "the limits count otherwise than the records"},
		"cut by an Envoy that had all of it":                 {row{cuts: true, dark: true}, func(o *observed) { o.requests[0].how = cut }, ""},
		"cut by an Envoy that stood still and had all of it": {row{cuts: true, stands: true}, func(o *observed) { o.requests[0].how = cut }, ""},
		"cut behind its last event": {row{cuts: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].told = cut, true
		}, ""},
		"answered by a service for which Envoy had not waited": {row{stands: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].status = failed, 504
		}, ""},
		"a record of nobody's": {usual, func(o *observed) {
			o.records = append(o.records, callback.Record{CallID: "id-9", TraceID: "tag-x-9"})
		}, "a record is of no request"},
		"other attempts": {
			usual, func(o *observed) { o.requests[0].attempts = "1" }, "the client is told of other attempts than the record",
		},
		"recorded as failure": {usual, func(o *observed) { o.records[0].Status = callback.Failure }, "an answer is recorded as a failure"},
		"recorded as answer":  {row{cuts: true}, func(o *observed) { o.requests[0].how = cut }, "a failure is recorded as an answer"},
		"other status":        {usual, func(o *observed) { o.records[0].HTTPStatus = 201 }, "the record has another status than the client"},
		"other status when Envoy had waited long enough": {row{stands: true}, func(o *observed) {
			o.requests[0].how, o.requests[0].status = failed, 504
			aborted := "timeout"
			o.records[0].Status, o.records[0].Aborted = callback.Failure, callback.Optional(aborted)
		}, ""},
		"asked twice": {usual, func(o *observed) { o.calls[call{"limited-bad", "tag-limited-1"}]++ },
			"a provider was asked more often than is recorded"},
		"asked never": {usual, func(o *observed) { delete(o.calls, call{"limited-good", "tag-limited-1"}) },
			"an attempt is recorded that was not made"},
		"refused before it was asked": {usual, func(o *observed) { delete(o.calls, call{"limited-bad", "tag-limited-1"}) }, ""},
		"a metric": {usual, func(o *observed) { o.metrics["isthmus_requests_total"]++ },
			"a metric counts otherwise than the records"},
		"in flight": {usual, func(o *observed) { o.metrics["isthmus_deployment_in_flight"] = 1 },
			"something is held by a request that is over"},
		"a lease": {usual, func(o *observed) { o.leases = map[string]int64{"slots": 1} },
			"something is held by a request that is over"},
		"Envoy's": {usual, func(o *observed) { o.envoy = map[string]int{"cluster.x.upstream_rq_active": 1} },
			"something is held by a request that is over"},
		"Envoy's access log": {usual, func(o *observed) { o.envoy = map[string]int{accessLogStreams: envoyWorkers} }, ""},
		"goroutines":         {usual, func(o *observed) { o.metrics["go_goroutines"] = 80 }, "goroutines are left"},
		"a panic":            {usual, func(o *observed) { o.metrics["isthmus_panics_total"] = 1 }, "a bug was caught"},
		"a panic in the log": {usual, func(o *observed) { o.log = "x\npanic: no\n" }, "a bug is in the log"},
		"tokens lost": {usual, func(o *observed) { clear(o.windows["limited-good"].tokens) },
			"the limits count otherwise than the records"},
		"tokens twice": {usual, func(o *observed) { o.windows["limited-good"].tokens[o.now.Unix()] = 10 },
			"the limits count otherwise than the records"},
		"a request twice": {usual, func(o *observed) { o.windows["limited-bad"].requests[o.now.Unix()] = 2 },
			"the limits count otherwise than the records"},
		"what left the minute": {usual, func(o *observed) { o.windows["limited-bad"].requests[o.now.Unix()-59] = 100 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := wellObserved()
			tc.spoil(o)
			found := judge(&tc.row, o)
			if tc.rule == "" && len(found) > 0 {
				t.Errorf("%+v", found)
			}
			if tc.rule != "" && !slices.ContainsFunc(found, func(v violation) bool { return v.rule == tc.rule }) {
				t.Errorf("%+v, want %s", found, tc.rule)
			}
			if report(found, o) == "" || summary(o) == "" {
				t.Error("nothing is said")
			}
		})
	}
}

// TestEveryRowStandsInTheDocument with the command that runs it, and no other.
func TestEveryRowStandsInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, want []string
	for _, m := range regexp.MustCompile("(?m)^\\|.*\\| `make chaos ROW=([a-z-]+)` \\|$").FindAllSubmatch(text, -1) {
		documented = append(documented, string(m[1]))
	}
	for _, r := range rows() {
		want = append(want, r.name)
	}
	if !slices.Equal(documented, want) {
		t.Errorf("docs/reliability.md has the rows\n%v, want\n%v", documented, want)
	}
}

// TestEveryAnswerSaysWhoseItIs, so that a client knows its own.
func TestEveryAnswerSaysWhoseItIs(t *testing.T) {
	for _, path := range []string{"v1/chat/completions", "v1/completions", "v1/embeddings", "v1/responses", "v1/messages"} {
		for _, stream := range []bool{false, true} {
			a := answerTo(path, "tag-x-1", stream)
			if found := tagPattern.FindString(a.text()); found != "tag-x-1" {
				t.Errorf("%s, stream %t: %s", path, stream, fmt.Sprint(a.parts))
			}
		}
	}
}
