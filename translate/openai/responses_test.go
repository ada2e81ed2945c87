package openai_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func decoderOf(t testing.TB, req *chat.Request) chat.Decoder {
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: eventStream}}}
	return suite.Bind(t, upstream.Target{}).Decoder(req, head)
}

// Events of the Responses API, spaced as real servers do.
const (
	created = `{"type": "response.created", "sequence_number": 0, "response": {"id": "r1", "model": "gpt", "status": "in_progress",` +
		` "usage": null}}`
	textDelta = `{"type": "response.output_text.delta", "sequence_number": 1, "delta": "he\"llo"}`
	completed = `{"type": "response.completed", "response": {"id": "r1", "status": "completed", "usage": {"input_tokens": 5,` +
		` "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}}}`
)

const askedResponse = `{"model":"m","input":"a","stream":true}`

func TestStreamsOfTheResponsesAPIEndAsTheyDo(t *testing.T) {
	for name, tc := range map[string]struct {
		events        []string
		code, finish  string // of the failure; "": there is none
		status        int
		whole, inBody bool // the usage is the whole answer's; the client gets the events and nothing else
	}{
		"completed": {events: []string{created, textDelta, completed}, whole: true, inBody: true},
		"incomplete is a success, with its reason": {
			events: []string{created, textDelta, `{"type": "response.incomplete", "response": {"usage": {"input_tokens": 5, "output_tokens": 2},` +
				`"incomplete_details": {"reason": "max_output_tokens"}}}`},
			finish: "max_output_tokens", whole: true, inBody: true,
		},
		"failed": {
			events: []string{created, `{"type": "response.failed", "response": {"id": "r1", "error": {"code": "server_error", "message": "boom"}}}`},
			code:   "server_error", status: 502, inBody: true,
		},
		"failed for the limits, with what was used": {
			events: []string{created, textDelta, `{"type": "response.failed", "response": {"usage": {"input_tokens": 5, "output_tokens": 2},` +
				`"error": {"code": "rate_limit_exceeded", "message": "slow"}}}`},
			code: "rate_limit_exceeded", status: 429, whole: true, inBody: true,
		},
		"failed without a word": {
			events: []string{created, `{"type": "response.failed", "response": {"error": null}}`},
			code:   "incomplete_answer", status: 502, inBody: true,
		},
		"an error event": {
			events: []string{created, textDelta, `{"sequence_number": 2, "type": "error", "code": "server_error", "message": "boom"}`},
			code:   "server_error", status: 502, inBody: true,
		},
		"a nested error event": {
			events: []string{`{"type": "error", "error": {"type": "server_error", "code": "server_error", "message": "boom"}}`},
			code:   "server_error", status: 502, inBody: true,
		},
		"no terminal event": {events: []string{created, textDelta}, code: "incomplete_answer", status: 502},
		"no event":          {code: "incomplete_answer", status: 502},
		"only comments":     {events: []string{}, code: "incomplete_answer", status: 502},
		"an error of another API": {
			events: []string{created, textDelta, `{"error": {"message": "boom", "type": "overloaded_error"}}`}, code: "", status: 529,
		},
		"garbage": {events: []string{created, textDelta, `<html>`}, code: "invalid_answer", status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			body := stream(tc.events...)
			for cut := range len(body) + 1 {
				out, r := feed(t, translatetest.Request(t, chat.Responses, askedResponse), eventStream, body[:cut], body[cut:])
				failed := tc.status != 0
				if (r.Failure != nil) != failed || failed && (r.Failure.Code != tc.code || r.Failure.Status != tc.status) {
					t.Fatalf("cut at %d: failure %+v", cut, r.Failure)
				}
				if r.HasUsage != tc.whole || r.FinishReason != tc.finish {
					t.Fatalf("cut at %d: %+v", cut, r)
				}
				switch added, ok := strings.CutPrefix(out, body); {
				case tc.inBody && out != body:
					t.Fatalf("cut at %d: %q", cut, out)
				case tc.inBody:
				case name == "garbage" || strings.HasPrefix(name, "an error of another"):
					added = out[len(stream(tc.events[:2]...)):]
					expectFailure(t, added, len(tc.events) > 0)
				case !ok:
					t.Fatalf("cut at %d: %q", cut, out)
				default:
					expectFailure(t, added, len(tc.events) > 0)
				}
			}
		})
	}
}

// expectFailure wants an error event and, where a response had begun, its end.
func expectFailure(t *testing.T, events string, begun bool) {
	t.Helper()
	type event struct {
		Type     string
		Code     string
		Message  string
		Sequence int `json:"sequence_number"`
		Error    struct{ Message, Type string }
		Response struct {
			ID, Status string
			Error      struct{ Code, Message string }
		}
	}
	var got []event
	for e := range strings.SplitSeq(strings.TrimSuffix(events, "\n\n"), "\n\n") {
		name, data, _ := strings.Cut(e, "\n")
		var next event
		err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &next, json.MatchCaseInsensitiveNames(true))
		if err != nil || name != "event: "+next.Type {
			t.Fatalf("%q: %v", e, err)
		}
		got = append(got, next)
	}
	want := 1
	if begun {
		want = 2
	}
	if len(got) != want || got[0].Type != "error" || got[0].Message == "" || got[0].Error.Message != got[0].Message {
		t.Fatalf("%+v", got)
	}
	if last := got[len(got)-1]; begun && (last.Type != "response.failed" || last.Response.ID != "r1" || last.Response.Status != "failed" ||
		last.Response.Error.Code != "server_error" || last.Sequence != got[0].Sequence+1 || got[0].Sequence != 2) {
		t.Fatalf("%+v", last)
	}
}

func TestAStreamOfTheResponsesAPIIsMeasured(t *testing.T) {
	for name, tc := range map[string]struct {
		events []string
		want   string
	}{
		"its deltas of all kinds": {
			[]string{
				created, textDelta, `{"type":"response.reasoning_summary_text.delta","delta":"hm"}`,
				`{"type":"response.function_call_arguments.delta","delta":"{}"}`, `{"type":"response.refusal.delta","delta":"no"}`,
			}, `he"llohm{}no`,
		},
		"and not again what they add up to": {
			[]string{
				created, textDelta, `{"type":"response.output_text.done","text":"he\"llo"}`,
				`{"type":"response.output_item.done","item":{"content":[{"text":"he\"llo"}]}}`,
			}, `he"llo`,
		},
		"an item that had no deltas": {
			[]string{created, textDelta, `{"type":"response.output_item.done","item":{"type":"message"}}`,
				`{"type":"response.output_item.done","item":{"type":"function_call","name":"f","arguments":"{}"}}`}, `he"llof{}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := decoderOf(t, translatetest.Request(t, chat.Responses, askedResponse))
			d.Feed([]byte(stream(tc.events...)), false) // the client leaves
			r := d.Result()
			if r.HasUsage || r.Output.Sample != tc.want || r.ID != "r1" || r.Model != "gpt" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestBlockingResponsesEndAsTheyDo(t *testing.T) {
	for name, tc := range map[string]struct {
		answer, code, finish string
		status               int
		inBody               bool
	}{
		"completed": {answer: `{"id":"r1","object":"response","status":"completed","error":null,"incomplete_details":null}`},
		"incomplete is a success, with its reason": {
			answer: `{"object":"response","status":"incomplete","incomplete_details":{"reason":"content_filter"}}`, finish: "content_filter",
		},
		"failed": {
			answer: `{"object":"response","status":"failed","error":{"code":"server_error","message":"boom"}}`,
			code:   "server_error", status: 502, inBody: true,
		},
		"failed without a word": {answer: `{"object":"response","status":"failed"}`, code: "incomplete_answer", status: 502, inBody: true},
		"nothing":               {code: "incomplete_answer", status: 502},
		"white space":           {answer: " \n", code: "incomplete_answer", status: 502},
		"half of it":            {answer: `{"object":"response","status":"completed"`, code: "incomplete_answer", status: 502},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := range len(tc.answer) + 1 {
				req := translatetest.Request(t, chat.Responses, `{"model":"m","input":"a"}`)
				out, r := feed(t, req, plainJSON, tc.answer[:cut], tc.answer[cut:])
				if out != tc.answer || r.FinishReason != tc.finish || r.FailureInBody != tc.inBody || (r.Failure != nil) != (tc.status != 0) ||
					r.Failure != nil && (r.Failure.Code != tc.code || r.Failure.Status != tc.status) {
					t.Fatalf("cut at %d: %q, %+v, failure %+v", cut, out, r, r.Failure)
				}
			}
		})
	}
}

func TestChunksThatAreNoChunksEndTheStream(t *testing.T) {
	text := chunk(`"delta":{"content":"a"}`)
	for _, garbage := range []string{`<html><body>Bad gateway</body></html>`, `{"id":"c1","choi`, `[1]`, `null`, `upstream connect error`} {
		for _, endpoint := range []chat.Endpoint{chat.Completions, chat.TextCompletions} {
			req := translatetest.Request(t, endpoint, `{"model":"m","prompt":"a","messages":[],"stream":true}`)
			out, r := feed(t, req, eventStream, stream(text, garbage, text, "[DONE]"))
			if want := stream(text, string(chat.Unreadable().JSON())); out != want || r.Failure == nil || r.Failure.Code != "invalid_answer" {
				t.Errorf("%s after %s: %q, %+v", endpoint, garbage, out, r.Failure)
			}
		}
	}
}

func BenchmarkStreamOfTheResponsesAPI(b *testing.B) {
	req := translatetest.Request(b, chat.Responses, askedResponse)
	first, delta := []byte(stream(created)), []byte(stream(`{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1",`+
		`"output_index":0,"content_index":0,"delta":" word","logprobs":[]}`))
	last := []byte(stream(completed))
	b.ReportAllocs()
	for b.Loop() {
		d := decoderOf(b, req)
		d.Feed(first, false)
		for range 500 {
			d.Feed(delta, false)
		}
		if d.Feed(last, true); d.Failed() || !d.Result().HasUsage {
			b.Fatalf("%+v", d.Result())
		}
	}
}
