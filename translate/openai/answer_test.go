package openai_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const (
	eventStream = "text/event-stream; charset=utf-8"
	plainJSON   = "application/json"
	counts      = `{"id":"c1","object":"chat.completion.chunk","model":"gpt","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,` +
		`"total_tokens":7,"completion_tokens_details":{"reasoning_tokens":1}}}`
	asked   = `{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}`
	unasked = `{"model":"m","messages":[],"stream":true}`
)

var counted = chat.Usage{Prompt: 5, Completion: 2, Total: 7, Reasoning: 1}

// chunk is a chunk with one choice of these members.
func chunk(choice string) string {
	return `{"id":"c1","object":"chat.completion.chunk","model":"gpt","choices":[{"index":0,` + choice + `}]}`
}

// stream is an event stream of these data.
func stream(data ...string) string {
	var b strings.Builder
	for _, d := range data {
		b.WriteString("data: " + d + "\n\n")
	}
	return b.String()
}

// feed decodes an answer in pieces.
func feed(t testing.TB, req *chat.Request, contentType string, pieces ...string) (string, chat.Result) {
	t.Helper()
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: contentType}}}
	d := suite.Bind(t, upstream.Target{}).Decoder(req, head)
	var out []byte
	for i, piece := range pieces {
		out = append(out, d.Feed([]byte(piece), i == len(pieces)-1)...)
	}
	return string(out), d.Result()
}

// reported is what the provider reported of its answer, without what was measured here.
func reported(r chat.Result) chat.Result {
	return chat.Result{ID: r.ID, Model: r.Model, FinishReason: r.FinishReason, Usage: r.Usage, HasUsage: r.HasUsage, Failure: r.Failure}
}

func TestBlockingAnswersAreRelayed(t *testing.T) {
	const answer = `{ "id":"c1","model":"gpt", "choices":[{"message":{"refusal":"no","annotations":[]},"logprobs":{}}],` +
		`"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}, "x": 1.0}`
	req := translatetest.Request(t, chat.Completions, `{"model":"m","messages":[]}`)
	for cut := range len(answer) {
		out, result := feed(t, req, plainJSON, answer[:cut], answer[cut:])
		if out != answer {
			t.Fatalf("cut at %d: %s", cut, out)
		}
		want := chat.Result{ID: "c1", Model: "gpt", Usage: chat.Usage{Prompt: 5, Completion: 2, Total: 7, Cached: 3}, HasUsage: true}
		if diff := cmp.Diff(want, reported(result)); diff != "" {
			t.Fatalf("cut at %d: result (-want +got):\n%s", cut, diff)
		}
	}
}

func TestRelayedChunksAreTheProvidersMemory(t *testing.T) {
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: eventStream}}}
	d := suite.Bind(t, upstream.Target{}).Decoder(translatetest.Request(t, chat.Completions, asked), head)
	for _, data := range []string{chunk(`"delta":{"content":"a"}`), chunk(`"delta":{},"finish_reason":"stop"`), counts, "[DONE]"} {
		piece := []byte(stream(data))
		if out := d.Feed(piece, data == "[DONE]"); !chat.Untouched(piece, out) {
			t.Errorf("%s came back as %s", piece, out)
		}
	}
}

func TestStreams(t *testing.T) {
	text, end := chunk(`"delta":{"role":"assistant","content":"a"},"finish_reason":null`), chunk(`"delta":{},"finish_reason":"stop"`)
	incomplete := `{"error":{"message":"the provider's answer ended before it was complete","type":"server_error","param":null,` +
		`"code":"incomplete_answer"}}`
	whole := chat.Result{ID: "c1", Model: "gpt", FinishReason: "stop", Usage: counted, HasUsage: true}
	uncounted := chat.Result{ID: "c1", Model: "gpt", FinishReason: "stop"}
	for name, tc := range map[string]struct {
		request, answer, want string
		result                chat.Result
	}{
		"relayed as it is": {asked, stream(text, end, counts, "[DONE]"), stream(text, end, counts, "[DONE]"), whole},
		"usage that the client did not ask for is hidden": {unasked, stream(text, end, counts, "[DONE]"), stream(text, end, "[DONE]"), whole},
		"also out of a chunk with a choice": {
			unasked,
			stream(text, `{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,`+
				`"total_tokens":7,"completion_tokens_details":{"reasoning_tokens":1}}}`, "[DONE]"),
			stream(text, `{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, "[DONE]"), whole,
		},
		"usage null is no usage": {
			unasked, stream(`{"id":"c1","model":"gpt","choices":[],"usage":null}`, end, "[DONE]"),
			stream(`{"id":"c1","model":"gpt","choices":[],"usage":null}`, end, "[DONE]"), uncounted,
		},
		"a forgotten [DONE] is added":         {asked, stream(text, end, counts), stream(text, end, counts, "[DONE]"), whole},
		"a last event without its blank line": {asked, stream(text, end) + "data: [DONE]", stream(text, end, "[DONE]"), uncounted},
		"comments pass": {
			asked, ": PROCESSING\n\n" + stream(text, end, "[DONE]"), ": PROCESSING\n\n" + stream(text, end, "[DONE]"), uncounted,
		},
		"half a comment at the end says nothing": {asked, stream(text, end) + ": keep", stream(text, end, "[DONE]"), uncounted},
		"an answer that breaks off is not whole": {
			asked, stream(text), stream(text, incomplete), chat.Result{ID: "c1", Model: "gpt", Failure: chat.Incomplete()},
		},
		"nor one that breaks off inside an event": {
			asked, stream(text) + `data: {"id":"c1","choi`, stream(text, incomplete),
			chat.Result{ID: "c1", Model: "gpt", Failure: chat.Incomplete()},
		},
		"Azure's first chunk, which has no choice": {
			asked, stream(`{"id":"","model":"","object":"","choices":[],"prompt_filter_results":[{"prompt_index":0}]}`, text, end, "[DONE]"),
			stream(text, end, "[DONE]"), uncounted,
		},
		"words in the text mean nothing": {
			asked, stream(chunk(`"delta":{"content":"{\"error\":{},\"finish_reason\":\"stop\",\"usage\":{}}"}`), end, "[DONE]"),
			stream(chunk(`"delta":{"content":"{\"error\":{},\"finish_reason\":\"stop\",\"usage\":{}}"}`), end, "[DONE]"), uncounted,
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := translatetest.Request(t, chat.Completions, tc.request)
			for cut := range len(tc.answer) + 1 {
				out, result := feed(t, req, eventStream, tc.answer[:cut], tc.answer[cut:])
				if diff := cmp.Diff(tc.want, out); diff != "" {
					t.Fatalf("cut at %d (-want +got):\n%s", cut, diff)
				}
				if diff := cmp.Diff(tc.result, reported(result)); diff != "" {
					t.Fatalf("cut at %d: result (-want +got):\n%s", cut, diff)
				}
			}
		})
	}
}

func TestAStreamWithAnErrorDoesNotEndAsAWholeOne(t *testing.T) {
	text, event := chunk(`"delta":{"content":"a"}`), `{"error":{"message":"m","type":"server_error","param":null,"code":null}}`
	out, result := feed(t, translatetest.Request(t, chat.Completions, asked), eventStream, stream(text, event, "[DONE]"))
	if want := stream(text, event); out != want || result.Failure == nil {
		t.Errorf("stream %s, failure %v", out, result.Failure)
	}
}

func TestErrorsInsideAStreamGetTheirMembers(t *testing.T) {
	text := chunk(`"delta":{"content":"a"}`)
	for name, tc := range map[string]struct{ event, want string }{
		"OpenAI's": {
			`{"error":{"message":"m","type":"server_error","param":null,"code":null}}`,
			`{"error":{"message":"m","type":"server_error","param":null,"code":null}}`},
		"with the status as a number": {
			`{"error":{"code":502,"message":"Provider disconnected"},"choices":[{"finish_reason":"error"}]}`,
			`{"error":{"message":"Provider disconnected","type":"server_error","param":null,"code":"502"}}`,
		},
		"a bare text": {`{"error":"boom"}`, `{"error":{"message":"boom","type":"server_error","param":null,"code":null}}`},
		"vLLM's flat object": {
			`{"object":"error","message":"bad","type":"BadRequestError","param":null,"code":400}`,
			`{"error":{"message":"bad","type":"BadRequestError","param":null,"code":"400"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, result := feed(t, translatetest.Request(t, chat.Completions, asked), eventStream, stream(text, tc.event))
			if want := stream(text, tc.want); out != want {
				t.Errorf("stream %s, want %s", out, want)
			}
			if result.Failure == nil {
				t.Error("no failure in the result")
			}
		})
	}
}

func TestStreamOfTheResponsesAPIEndsAsItLikes(t *testing.T) {
	text := "event: response.created\ndata: {\"type\":\"response.created\"}\n\nevent: response.completed\n" +
		"data: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":2," +
		"\"output_tokens_details\":{\"reasoning_tokens\":1}}}}\n\n"
	out, result := feed(t, translatetest.Request(t, chat.Responses, `{"model":"m","input":"a","stream":true}`), eventStream, text)
	if out != text || result.Usage != counted || result.Failure != nil {
		t.Errorf("%q, %+v", out, result)
	}
}
