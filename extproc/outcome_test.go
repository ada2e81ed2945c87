package extproc

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// claims are all the ways to become the one who answers, by what they are called for.
func claims() map[string]func(l *lockedOutcome) bool {
	hop := hopTo("m", "d", 0)
	return map[string]func(l *lockedOutcome) bool{
		"a list that this service makes": func(l *lockedOutcome) bool { return l.local(200) },
		"a refusal":                      func(l *lockedOutcome) bool { return l.refused(byGateway, &upstream.Error{Status: 429}) },
		"a stored answer":                func(l *lockedOutcome) bool { return l.cached(&cache.Entry{}, time.Second) },
		"a deployment's good headers":    func(l *lockedOutcome) bool { return l.deployed(&hop, 206, time.Second) },
		"the error of the last attempt":  func(l *lockedOutcome) bool { return l.refused(byFailure, &upstream.Error{Status: 502}) },
		"the request's deadline":         func(l *lockedOutcome) bool { return l.refused(byDeadline, &upstream.Error{Status: 504}) },
		"the client's leaving":           func(l *lockedOutcome) bool { l.disconnect(); return l.load().by == byDisconnect },
	}
}

// TestWhoeverClaimsTheAnswerFirstGivesIt, against each of the others, and what comes
// later changes nothing of it.
func TestWhoeverClaimsTheAnswerFirstGivesIt(t *testing.T) {
	want := map[string]outcome{
		"a list that this service makes": {by: byGateway, status: 200, ended: endedWhole},
		"a refusal":                      {by: byGateway, status: 429, ended: endedWhole},
		"a stored answer":                {by: byCache, status: 200, firstByte: time.Second, ended: endedWhole},
		"a deployment's good headers":    {by: byDeployment, status: 206, firstByte: time.Second},
		"the error of the last attempt":  {by: byFailure, status: 502, ended: endedWhole},
		"the request's deadline":         {by: byDeadline, status: 504, ended: endedWhole},
		"the client's leaving":           {by: byDisconnect},
	}
	for winner, first := range claims() {
		for loser, second := range claims() {
			t.Run(winner+" before "+loser, func(t *testing.T) {
				l := &lockedOutcome{}
				if !first(l) {
					t.Fatal("the first claim is refused")
				}
				if won := second(l); won && loser != "the client's leaving" {
					t.Error("the second claim is granted")
				}
				got, w := l.load(), want[winner]
				if got.by != w.by || got.status != w.status || got.firstByte != w.firstByte || got.ended != w.ended {
					t.Errorf("the client gets %+v, want %+v", got, w)
				}
				if (got.served != nil) != (w.by == byDeployment) || (got.entry != nil) != (w.by == byCache) ||
					(got.failure != nil) != (w.status >= 400) {
					t.Errorf("served by %v, stored %v, failure %v", got.served, got.entry, got.failure)
				}
			})
		}
	}
}

// TestOneOfManyClaimsAtOnceIsGranted, under the race detector.
func TestOneOfManyClaimsAtOnceIsGranted(t *testing.T) {
	for range 100 {
		l := &lockedOutcome{}
		var granted [2]bool
		var wg sync.WaitGroup
		hop := hopTo("m", "d", 0)
		wg.Go(func() { granted[0] = l.deployed(&hop, 200, 1) })
		wg.Go(func() { granted[1] = l.refused(byDeadline, &upstream.Error{Status: 504}) })
		wg.Wait()
		if o := l.load(); granted[0] == granted[1] || granted[0] != (o.status == 200) || granted[0] != (o.served != nil) {
			t.Fatalf("granted %v, and the client gets %d", granted, o.status)
		}
	}
}

// TestAnAnswerThatBreaksOffHasTheStatusThatItsClientGot: Envoy's own, where nothing of
// the answer had left.
func TestAnAnswerThatBreaksOffHasTheStatusThatItsClientGot(t *testing.T) {
	for name, tc := range map[string]struct {
		entry *logEntry
		want  int
	}{
		"nothing had left":               {&logEntry{ended: endedUpstream, status: 502}, 502},
		"nothing had left in time":       {&logEntry{ended: endedTimeout, status: 504}, 504},
		"its headers had left":           {&logEntry{ended: endedUpstream, status: 200}, 200},
		"Envoy does not say":             {&logEntry{ended: endedUpstream}, 200},
		"the client left before it came": {&logEntry{ended: endedClient, status: 499}, 200},
		"there is no entry":              {nil, 200},
	} {
		o := &outcome{by: byDeployment, status: 200}
		o.end(tc.entry)
		if o.status != tc.want {
			t.Errorf("%s: %d, want %d", name, o.status, tc.want)
		}
	}
}

func TestAnAnswerEndsAsEnvoySays(t *testing.T) {
	usage := chat.Usage{Prompt: 3, Completion: 2, Total: 5}
	for name, tc := range map[string]struct {
		relayed bool
		entry   *logEntry
		want    ending
		usage   bool
	}{
		"an answer that this service did not read to its end, of which Envoy says nothing": {false, nil, endedClient, false},
		"one that Envoy says nothing wrong of": {
			false, &logEntry{ended: endedWhole}, endedClient, false,
		},
		"one that the provider cut":                    {false, &logEntry{ended: endedUpstream}, endedUpstream, false},
		"one that came too slowly":                     {false, &logEntry{ended: endedTimeout}, endedTimeout, false},
		"a relayed answer of which Envoy says nothing": {true, nil, endedWhole, false},
		"a relayed answer that came to its end, with its usage": {
			true, &logEntry{ended: endedWhole, usage: usage, known: true}, endedWhole, true,
		},
		"a relayed answer that the client left, of which usage came": {
			true, &logEntry{ended: endedClient, usage: usage, known: true}, endedClient, true,
		},
		"a relayed answer whose entry never came": {true, &logEntry{}, endedWhole, false},
	} {
		t.Run(name, func(t *testing.T) {
			hop := hopTo("m", "a", 0)
			o := &outcome{by: byDeployment, relayed: tc.relayed, served: &hop}
			o.end(tc.entry)
			(&exchange{snapshot: &Snapshot{runtime: &Runtime{}}}).usageFromLog(o, tc.entry)
			if o.ended != tc.want || o.result.HasUsage != tc.usage || tc.usage && o.result.Usage != usage {
				t.Errorf("it ended %q, with usage %v", o.ended, o.result.Usage)
			}
		})
	}
}

// TestAnAnswerThatComesWhenTheTimeIsUpChangesNothing: the deadline has claimed the
// answer, and the deployment's headers, which crossed it, are not answered.
func TestAnAnswerThatComesWhenTheTimeIsUpChangesNothing(t *testing.T) {
	for name, fields := range map[string][]string{
		"a good answer": {":status", "200", "content-type", "text/event-stream"},
		"an error":      {":status", "500", "content-type", "application/json"},
		"a web page":    {":status", "200", "content-type", "text/html"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, twoSisters)
			f := h.open(names.FilterRequest)
			_, id := h.begin(f, strings.Replace(question, "{", `{"stream":true,`, 1))
			x := h.exchanges.find(id)
			if !x.outcome.refused(byDeadline, localFailure(0, totalTimeout)) {
				t.Fatal("the deadline cannot claim the answer")
			}
			f.in <- responseHead(1, false, fields...)
			if err := f.close(); err != nil {
				t.Errorf("the stream ended with %v", err)
			}
			select {
			case answer := <-f.out:
				t.Errorf("the headers are answered with %T", answer.GetResponse())
			default:
			}
			if line := h.log.String(); !strings.Contains(line, "status=504") || strings.Contains(line, "deployment=") {
				t.Errorf("the log says %s", line)
			}
			h.nothingHeld()
		})
	}
}

// TestAnErrorInsideAnAnswerIsJudgedByItsKind: the status of the answer says nothing.
func TestAnErrorInsideAnAnswerIsJudgedByItsKind(t *testing.T) {
	hop := hopTo("m", "d", 0)
	for body, want := range map[string]upstream.Kind{
		`{"error":{"code":400,"message":"no such role"}}`:                       upstream.KindRequest,
		`{"error":{"code":400,"message":"prompt is too long: 9 tokens"}}`:       upstream.KindContextWindow,
		`{"error":{"code":429,"message":"slow down"}}`:                          upstream.KindRateLimit,
		`{"error":{"message":"Overloaded","type":"overloaded_error"}}`:          upstream.KindUnavailable,
		`{"error":{"code":403,"message":"no","metadata":{"flagged_input":""}}}`: upstream.KindContentPolicy,
	} {
		o := &outcome{served: &hop, status: 200, ended: endedWhole, result: chat.Result{Failure: upstream.ReadEmbedded([]byte(body))}}
		if got := o.attempt(); !got.Failed || got.Kind != want {
			t.Errorf("%s is of kind %s, want %s", body, got.Kind, want)
		}
	}
}
