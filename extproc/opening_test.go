package extproc

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
)

const askStream = `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`

// failover is a house in which streams fail over, and a request that waits for its
// first attempt.
func failover(t *testing.T, config, body string) (h *house, id string) {
	h = newHouse(t, config)
	h.runtime.Use(h.router, Settings{StreamFailover: true})
	answer, id := h.begin(h.open(names.FilterRequest), body)
	if set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation()); set[names.HeaderOpening] != names.Opening {
		t.Fatalf("the request's answers do not pass the opening filter: %v", set)
	}
	return h, id
}

// opened is an opening filter's stream for attempt 1 of an exchange, which may go to its
// provider; nil: the stream has ended, and the answer passes.
func (h *house) opened(id, replica string) *filterStream {
	h.t.Helper()
	f := h.open(names.FilterOpening)
	m := requestHeaders(false, ":method", "POST")
	m.MetadataContext = namedAt(id, replica)
	f.in <- m
	select {
	case answer := <-f.out:
		if answer.GetRequestHeaders() == nil || answer.GetRequestHeaders().GetResponse().GetHeaderMutation() != nil {
			h.t.Fatalf("the attempt is changed: %v", answer)
		}
		return f
	case err := <-f.err:
		if err != nil {
			h.t.Fatalf("the stream ended with %v", err)
		}
		return nil
	}
}

// opening shows the opening filter an answer, piece by piece, and returns what it
// says of it; nil: it has ended its stream without a word, and the answer passes.
func (h *house) opening(id, kind string, pieces ...string) *extprocv3.ProcessingResponse {
	h.t.Helper()
	f := h.opened(id, "")
	if f == nil {
		return nil
	}
	head := responseHead(1, len(pieces) == 0, ":status", "200", "content-type", kind)
	head.MetadataContext = named(id)
	for _, m := range append([]*extprocv3.ProcessingRequest{head}, messages(pieces)...) {
		select {
		case f.in <- m:
			continue
		case err := <-f.err:
			return f.last(err)
		}
	}
	select {
	case err := <-f.err:
		return f.last(err)
	case <-time.After(time.Minute):
		h.t.Fatal("the answer is held for ever")
		return nil
	}
}

// messages are the pieces of a body, the last of which ends it.
func messages(pieces []string) (out []*extprocv3.ProcessingRequest) {
	for i, p := range pieces {
		out = append(out, responsePiece(p, i == len(pieces)-1))
	}
	return out
}

// last is the answer that was sent before the stream ended, with OK.
func (f *filterStream) last(err error) *extprocv3.ProcessingResponse {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("the stream ended with %v", err)
	}
	select {
	case a := <-f.out:
		return a
	default:
		return nil
	}
}

const (
	roleChunk    = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
	contentChunk = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n"
	finishChunk  = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	errorChunk   = "data: {\"error\":{\"message\":\"no room\",\"type\":\"server_error\"}}\n\n"
)

func TestAStreamFailsOverUntilItsFirstContent(t *testing.T) {
	const events = "text/event-stream"
	for name, tc := range map[string]struct {
		kind   string
		pieces []string
		status string // "": it passes
	}{
		"its first content passes":            {events, []string{contentChunk, errorChunk}, ""},
		"a role and then content pass":        {events, []string{": comment\n\n", roleChunk, contentChunk, ""}, ""},
		"content in half an event and a half": {events, []string{roleChunk + contentChunk[:9], contentChunk[9:], ""}, ""},
		"an answer that says nothing passes":  {events, []string{roleChunk, finishChunk, "data: [DONE]\n\n"}, ""},
		"content and an error in one piece":   {events, []string{contentChunk + errorChunk}, "502"},
		"an error first":                      {events, []string{errorChunk, ""}, "502"},
		"an error after the role":             {events, []string{roleChunk, errorChunk, ""}, "502"},
		"nothing":                             {events, []string{""}, "502"},
		"no body at all":                      {events, nil, "502"},
		"an end after the role":               {events, []string{roleChunk, ""}, "502"},
		"a comment for ever":                  {events, []string{strings.Repeat(": comment\n\n", 6000), ""}, ""},
		"an error as a document":              {"application/json", []string{`{"error":{"message":"no room","code":429}}`}, "429"},
		"a document where a stream was asked": {"application/json", []string{`{"id":"c","choices":[{"message":{"content":"a"}}]}`}, ""},
		"a page of another server":            {"text/html", []string{"<p>", ""}, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			h, id := failover(t, twoSisters, askStream)
			answer := h.opening(id, tc.kind, tc.pieces...)
			set, _ := changes(answer.GetResponseHeaders().GetResponse().GetHeaderMutation())
			if set[":status"] != tc.status || (answer == nil) != (tc.status == "") {
				t.Errorf("status %q, want %q: %v", set[":status"], tc.status, answer)
			}
			if retries := set[names.HeaderRetry] != ""; retries != (tc.status != "") || retries && len(planOf(answer)) < 3 {
				t.Errorf("retry %t, plan %v", retries, planOf(answer))
			}
		})
	}
}

func TestAnAttemptThatFailedInItsStreamIsCountedAsOneWithAStatus(t *testing.T) {
	h, id := failover(t, twoSisters, askStream)
	h.opening(id, "text/event-stream", errorChunk)
	again := h.retry(id, 2)
	if set, _ := changes(again.GetRequestHeaders().GetResponse().GetHeaderMutation()); set[names.HeaderOpening] != names.Opening {
		t.Errorf("the answer of attempt 2 does not pass the opening filter: %v", set)
	}
	x := h.exchanges.find(id)
	if r := x.attempts.records(x.started, time.Now()); len(r) != 2 || r[0].status != 502 || !r[0].failed || !r[1].running {
		t.Errorf("attempts = %+v", r)
	}
}

func TestAStreamWhoseExchangeIsUnknownPasses(t *testing.T) {
	h := newHouse(t, twoSisters)
	if a := h.opening("gone", "text/event-stream", errorChunk); a != nil {
		t.Errorf("answer = %v", a)
	}
}

func TestAnotherReplicasStreamFailsOverThere(t *testing.T) {
	a, id := failover(t, twoSisters, askStream)
	b := newHouse(t, twoSisters)
	at := a.listen()
	b.listen()
	b.knows(at)
	for _, tc := range []struct{ piece, status string }{{contentChunk, ""}, {errorChunk, "502"}} {
		f := b.opened(id, at)
		head := responseHead(1, false, ":status", "200", "content-type", "text/event-stream")
		head.MetadataContext = namedAt(id, at)
		f.in <- head
		f.in <- responsePiece(roleChunk, false)
		f.in <- responsePiece(tc.piece, false)
		select {
		case err := <-f.err:
			set, _ := changes(f.last(err).GetResponseHeaders().GetResponse().GetHeaderMutation())
			if set[":status"] != tc.status {
				t.Errorf("status %q, want %q", set[":status"], tc.status)
			}
		case <-time.After(time.Minute):
			t.Fatal("the answer is held for ever")
		}
	}
}

func TestOnlyAStreamThatAnotherAttemptCanAnswerIsHeldBack(t *testing.T) {
	const alone = "model_list: [{model_name: m, litellm_params: {model: openai/up, api_key: k%s}}]\nrouter_settings: {num_retries: 0}\n"
	for name, tc := range map[string]struct {
		config, plan, body string
		off, want          bool
	}{
		"a stream with a second attempt":  {twoSisters, names.PlanPriorityGroup, askStream, false, true},
		"the same in a fixed order":       {twoSisters, names.PlanComposite, askStream, false, true},
		"on Envoy 1.36":                   {twoSisters, names.PlanAggregate, askStream, false, false},
		"a blocking request":              {twoSisters, names.PlanPriorityGroup, question, false, false},
		"where it is turned off":          {twoSisters, names.PlanPriorityGroup, askStream, true, false},
		"a stream with one attempt":       {fmt.Sprintf(alone, ""), names.PlanPriorityGroup, askStream, false, false},
		"one attempt with a ttft_timeout": {fmt.Sprintf(alone, ", ttft_timeout: 3"), names.PlanPriorityGroup, askStream, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, tc.config)
			h.runtime.Use(h.router, Settings{StreamFailover: !tc.off})
			answer, _ := h.begin(h.openWith(names.FilterRequest, tc.plan), tc.body)
			set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation())
			if got := set[names.HeaderOpening]; (got == names.Opening) != tc.want {
				t.Errorf("opening = %q", got)
			}
		})
	}
}

func TestAFirstTokenThatIsLateIsAnAttemptThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, id := failover(t, strings.ReplaceAll(twoSisters, "api_key:", "ttft_timeout: 3, api_key:"), askStream)
		f := h.opened(id, "")
		head := responseHead(1, false, ":status", "200", "content-type", "text/event-stream")
		head.MetadataContext = named(id)
		time.Sleep(time.Second) // until its headers
		f.in <- head
		f.in <- responsePiece(roleChunk, false)
		began := time.Now()
		set, _ := changes(f.answer().GetResponseHeaders().GetResponse().GetHeaderMutation())
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("it was given up after %v", waited)
		}
		if set[":status"] != "504" || set[names.HeaderRetry] == "" {
			t.Errorf("headers = %v", set)
		}
		if err := <-f.err; err != nil {
			t.Errorf("the stream ended with %v: Envoy 1.39 does not go on before it ends", err)
		}
		x := h.exchanges.find(id)
		if r := x.attempts.records(x.started, time.Now()); len(r) != 1 || r[0].status != 504 {
			t.Errorf("attempts = %+v", r)
		}
		h.t = nil
	})
}

// TestAnAttemptWithAStatusOfItsOwnIsTheFailureFilters: the opening filter sees it too.
func TestAnAttemptWithAStatusOfItsOwnIsTheFailureFilters(t *testing.T) {
	h, id := failover(t, twoSisters, askStream)
	f := h.opened(id, "")
	head := responseHead(1, false, ":status", "429", "content-type", "application/json")
	head.MetadataContext = named(id)
	f.in <- head
	if answer := f.last(<-f.err); answer != nil {
		t.Errorf("answer = %v", answer)
	}
}

// BenchmarkOpening is what the opening of a stream costs: its request, its headers and
// one piece.
func BenchmarkOpening(b *testing.B) {
	h := newHouse(b, twoSisters)
	h.runtime.Use(h.router, Settings{StreamFailover: true})
	_, id := h.begin(h.open(names.FilterRequest), askStream)
	head := responseHead(1, false, ":status", "200", "content-type", "text/event-stream")
	head.MetadataContext = named(id)
	piece := responsePiece(contentChunk, false)
	b.ReportAllocs()
	for b.Loop() {
		f := h.opened(id, "")
		f.in <- head
		f.in <- piece
		if err := <-f.err; err != nil {
			b.Fatal(err)
		}
		f.end()
	}
}

// afterErrorBehind200 is a house in which a blocking answer has been an error with a good status,
// which went to its client, and a request whose answers pass the opening filter for it.
func afterErrorBehind200(t *testing.T) (h *house, id string) {
	h = newHouse(t, twoSisters)
	h.runtime.Use(h.router, Settings{StreamFailover: true})
	for _, want := range []string{"", names.Opening} {
		f := h.open(names.FilterRequest)
		var answer *extprocv3.ProcessingResponse
		answer, id = h.begin(f, question)
		set, _ := changes(answer.GetRequestBody().GetResponse().GetHeaderMutation())
		if got := set[names.HeaderOpening]; got != want {
			t.Fatalf("opening = %q, want %q", got, want)
		}
		if want != "" {
			break
		}
		f.ask(responseHead(1, false, ":status", "200", "content-type", "application/json"))
		f.ask(responsePiece(`{"error":{"message":"no room"}}`, true))
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
	return h, id
}

func TestABlockingAnswerFailsOverWhereItsDeploymentHasLatelySentErrorsWithAGoodStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		pieces []string
		status string // "": it passes
	}{
		"a good answer":               {[]string{`{"choices":[{"message":`, `{"content":"a"}}]}`}, ""},
		"an error":                    {[]string{`{"error":{"message":"no room",`, `"code":429}}`}, "429"},
		"an object that says nothing": {[]string{"{}"}, "502"},
		"noise":                       {[]string{"\x00\x01", ""}, "502"},
		"a long answer":               {[]string{`{"choices":[{"message":{"content":"` + strings.Repeat("a", maxHeld), `"}}]}`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h, id := afterErrorBehind200(t)
			set, _ := changes(h.opening(id, "application/json", tc.pieces...).GetResponseHeaders().GetResponse().GetHeaderMutation())
			if set[":status"] != tc.status || (set[names.HeaderRetry] != "") != (tc.status != "") {
				t.Errorf("headers = %v, want the status %q", set, tc.status)
			}
		})
	}
}
