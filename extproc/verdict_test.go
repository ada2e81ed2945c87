package extproc

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing/limit"
)

// TestAnAnswerThatDoesNotSayHowLongItIsIsLookedAtFirst, as servers in front of which a
// proxy stands send theirs.
func TestAnAnswerThatDoesNotSayHowLongItIsIsLookedAtFirst(t *testing.T) {
	const good = `{"id":"x","object":"chat.completion","choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":3,` +
		`"completion_tokens":2,"total_tokens":5}}`
	for name, tc := range map[string]struct {
		body   string
		last   bool
		status string // in the place of 200; "": the answer stays as it is
	}{
		"a good one":                   {good, true, ""},
		"one longer than Envoy's room": {good[:60], false, ""},
		"noise":                        {"\x00\x8f\x17 {", true, "502"},
		"an object that says nothing":  {"{}", true, "502"},
		"no choices":                   {`{"choices":[]}`, true, "502"},
		"an error":                     {`{"error":{"message":"slow down","code":429}}`, true, "429"},
		"nothing":                      {"", true, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			h.begin(f, question)
			head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
			if mode := head.GetModeOverride().GetResponseBodyMode(); mode != modev3.ProcessingMode_BUFFERED_PARTIAL {
				t.Fatalf("body mode = %s", mode)
			}
			got := f.ask(responsePiece(tc.body, tc.last)).GetResponseBody().GetResponse()
			set, _ := changes(got.GetHeaderMutation())
			if set[":status"] != tc.status || (got.GetBodyMutation() == nil) != (tc.status == "") {
				t.Errorf("%s %v", set[":status"], got)
			}
			if err := f.close(); err != nil {
				t.Error(err)
			}
			want := tc.status
			if want == "" {
				want = "200"
			}
			if log := h.log.String(); !strings.Contains(log, "status="+want) || strings.Contains(log, "error=") != (tc.status != "") ||
				strings.Contains(log, "aborted") {
				t.Errorf("log = %s", log)
			}
		})
	}
}

// TestVectorsThatDoNotSayHowLongTheyAreAreCounted: they are read as they come, however
// much of them an Envoy can hold.
func TestVectorsThatDoNotSayHowLongTheyAreAreCounted(t *testing.T) {
	h := newHouse(t, twoSisters)
	f := h.open(names.FilterRequest)
	h.beginAt(f, "/v1/embeddings", `{"model":"m","input":"x"}`)
	head := f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
	if mode := head.GetModeOverride().GetResponseBodyMode(); mode != modev3.ProcessingMode_STREAMED {
		t.Fatalf("body mode = %s", mode)
	}
	f.ask(responsePiece(`{"object":"list","data":[{"embedding":[0.1]}],`, false))
	f.ask(responsePiece(`"usage":{"prompt_tokens":7,"total_tokens":7}}`, true))
	if err := f.close(); err != nil {
		t.Error(err)
	}
	if log := h.log.String(); !strings.Contains(log, "prompt_tokens=7") || strings.Contains(log, "estimated") {
		t.Errorf("log = %s", log)
	}
}

// TestAStreamThatBreaksOffBehindItsLastEventWasWhole, and one that does so behind its
// error has failed with that one.
func TestAStreamThatBreaksOffBehindItsLastEventWasWhole(t *testing.T) {
	const done = "data: [DONE]\n\n"
	for name, tc := range map[string]struct{ pieces, ending string }{
		"behind [DONE]":             {contentChunk + finishChunk + done, ""},
		"behind [DONE] alone":       {contentChunk + done, ""},
		"behind an error":           {contentChunk + errorChunk, "error=server_error"},
		"behind its finish reason":  {contentChunk + finishChunk, "aborted="},
		"in the middle of a stream": {contentChunk, "aborted="},
	} {
		for _, plan := range []string{names.PlanPriorityGroup, names.PlanAggregate} { // Duplex, and piece by piece
			t.Run(name+", "+plan, func(t *testing.T) {
				h := newHouse(t, twoSisters)
				f := h.openWith(names.FilterRequest, plan)
				h.begin(f, askStream)
				f.ask(responseHead(1, false, ":status", "200", "content-type", "text/event-stream"))
				f.ask(responsePiece(tc.pieces, false))
				f.end() // Envoy resets the stream
				<-f.err
				log := h.log.String()
				if tc.ending == "" && (strings.Contains(log, "aborted=") || strings.Contains(log, "error=")) ||
					!strings.Contains(log, tc.ending) || tc.ending != "aborted=" && strings.Contains(log, "aborted=") {
					t.Errorf("log = %s", log)
				}
			})
		}
	}
}

// TestAnErrorThatIsHeldOpenIsJudgedByItsHeaders after a moment, and the next attempt
// follows where its status says so.
func TestAnErrorThatIsHeldOpenIsJudgedByItsHeaders(t *testing.T) {
	for name, tc := range map[string]struct {
		status string
		retry  bool
	}{
		"an overloaded server": {"503", true}, "a rate limit": {"429", true}, "a wrong key": {"401", true},
		"the client's own mistake": {"400", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHouse(t, twoSisters)
				_, id := h.begin(h.open(names.FilterRequest), question)
				f := h.open(names.FilterFailure)
				head := responseHead(1, false, ":status", tc.status)
				head.MetadataContext = named(id)
				answer := f.ask(head)
				set, _ := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation())
				if (set[names.HeaderRetry] != "") != tc.retry || set[names.HeaderOpening] != names.OpeningFailed {
					t.Errorf("if its body does not come, Envoy goes on with %v", set)
				}
				began := time.Now()
				if err := <-f.err; err != nil || time.Since(began) != errorBodyTime {
					t.Errorf("the stream ended after %v with %v", time.Since(began), err)
				}
				x := h.exchanges.find(id)
				if r := x.attempts.records(x.started, time.Now()); len(r) != 1 || !strings.HasPrefix(r[0].reason, tc.status+" ") {
					t.Errorf("attempts = %+v", r)
				}
				if e := x.attempts.remembered(); e == nil {
					t.Error("no error is kept for the client")
				}
				h.t = nil
			})
		})
	}
}

func TestAnErrorWhoseBodyComesIsJudgedByIt(t *testing.T) {
	h := newHouse(t, twoSisters)
	_, id := h.begin(h.open(names.FilterRequest), question)
	body := `{"error":{"message":"input is not supported","type":"invalid_request_error","code":"content_policy_violation"}}`
	set, removed := changes(h.fail(id, 1, 500, body).GetResponseBody().GetResponse().GetHeaderMutation())
	if set[names.HeaderRetry] != "" || !removed[names.HeaderRetry] || !removed[names.HeaderOpening] {
		t.Errorf("set %v, removed %v", set, removed)
	}
}

// TestARetryThatFindsNoRoomIsA429ThatNamesTheLimit, unless a provider has said something
// before.
func TestARetryThatFindsNoRoomIsA429ThatNamesTheLimit(t *testing.T) {
	h := limitedHouse(t, limit.Budget{MaxParallel: 2}, limit.Budget{MaxParallel: 1}, nil)
	f := h.open(names.FilterRequest)
	_, id := h.begin(f, question)
	h.holder()
	h.holder() // on b, for a is full
	stopped := h.retry(id, 2).GetImmediateResponse()
	if stopped.GetStatus().GetCode() != 429 || !strings.Contains(string(stopped.GetBody()), "too_many_parallel_requests") ||
		!strings.Contains(string(stopped.GetBody()), "max_parallel_requests 1 of deployment/b") {
		t.Errorf("the retry filter is answered by %v", stopped)
	}
	head := responseHead(2, false, ":status", "429")
	head.Attributes = attrs(2, names.AttributeDetails, "isthmus_no_room")
	got := f.ask(head).GetResponseHeaders().GetResponse()
	set, _ := changes(got.GetHeaderMutation())
	if set[":status"] != "429" || set["x-isthmus-limited-by"] != "deployment/b max_parallel_requests" || set["retry-after"] == "" ||
		!strings.Contains(string(got.GetBodyMutation().GetBody()), "of deployment/b") {
		t.Errorf("the client gets %v %s", set, got.GetBodyMutation().GetBody())
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
	log := h.log.String()
	if !strings.Contains(log, "status=429") || !strings.Contains(log, `limited_by="deployment/b max_parallel_requests"`) {
		t.Errorf("log = %s", log)
	}
	if n := h.refusals("deployment"); n != 1 {
		t.Errorf("%v requests are counted as refused by a deployment's limit", n)
	}
}
