package cache_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func record(req *chat.Request, stream bool, body []byte, rng *rand.Rand) (*cache.Entry, error) {
	r := cache.NewRecorder(req, stream, 0)
	for len(body) > 0 {
		n := len(body)
		if rng != nil {
			n = 1 + rng.IntN(min(n, 300))
		}
		r.Feed(body[:n])
		body = body[n:]
	}
	return r.Finish(cache.Served{Provider: "openai"}, chat.Result{}, noon)
}

func asking(t testing.TB, choices int, extra string) *chat.Request {
	return chatRequest(t, fmt.Sprintf(`{"model":"m",%s,"n":%d%s}`, hello, choices, extra))
}

const streaming = `,"stream":true,"stream_options":{"include_usage":true}`

func TestAStreamIsTheSameAfterTheCacheForStreamingAndBlockingClients(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 1))
		want := invent(rng)
		stream := want.stream(rng, true)
		if diff := cmp.Diff(want, readStream(t, stream)); diff != "" {
			t.Fatalf("the test's own stream is wrong: %s", diff)
		}
		e, err := record(asking(t, len(want.Choices), streaming), true, stream, rng)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, stream)
		}
		if diff := cmp.Diff(want, readBlocking(t, e.Body(asking(t, 1, "")))); diff != "" {
			t.Fatalf("seed %d: blocking (-want +got):\n%s\n%s", seed, diff, e.JSON)
		}
		if diff := cmp.Diff(want, readStream(t, e.Body(asking(t, 1, streaming)))); diff != "" {
			t.Fatalf("seed %d: stream (-want +got):\n%s", seed, diff)
		}
	}
}

func TestABlockingAnswerIsTheSameAsAStreamAndBack(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 2))
		want := invent(rng)
		body := want.blocking(rng)
		e, err := record(asking(t, len(want.Choices), ""), false, body, rng)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, body)
		}
		if got := e.Body(asking(t, 1, "")); string(got) != string(body) {
			t.Fatalf("seed %d: a blocking client must get the bytes as they were\n%s\n%s", seed, body, got)
		}
		if want.Usage != nil {
			_ = want.Usage.Compact()
		}
		stream := e.Body(asking(t, 1, streaming))
		got := readStream(t, stream)
		if got.Usage != nil {
			_ = got.Usage.Compact()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: as a stream (-want +got):\n%s", seed, diff)
		}
		again, err := record(asking(t, len(want.Choices), streaming), true, stream, rng)
		if err != nil {
			t.Fatalf("seed %d: folding the replayed stream: %v\n%s", seed, err, stream)
		}
		back := readBlocking(t, again.JSON)
		if back.Usage != nil {
			_ = back.Usage.Compact()
		}
		if diff := cmp.Diff(want, back); diff != "" {
			t.Fatalf("seed %d: folded again (-want +got):\n%s", seed, diff)
		}
	}
}

func TestUsageComesOnlyToStreamsThatAskForIt(t *testing.T) {
	body := `{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant",` +
		`"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`
	e, err := record(asking(t, 1, ""), false, []byte(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Body(asking(t, 1, `,"stream":true`)); strings.Contains(string(got), "usage") {
		t.Errorf("usage in a stream that did not ask for it: %s", got)
	}
	if got := e.Body(asking(t, 1, streaming)); !strings.Contains(string(got),
		`"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}`) {
		t.Errorf("no usage chunk: %s", got)
	}
	if want := (chat.Usage{Prompt: 3, Completion: 1, Total: 4}); e.Result.Usage != want || e.Result.FinishReason != "stop" ||
		e.Result.ID != "1" || e.Result.Model != "m" {
		t.Errorf("result = %+v", e.Result)
	}
}

func TestTheUsageHiddenFromAStreamIsInItsEntry(t *testing.T) {
	r := cache.NewRecorder(asking(t, 1, `,"stream":true`), true, 0)
	r.Feed([]byte(oneChunk(`{"role":"assistant","content":"hi"}`, `"stop"`) + "data: [DONE]\n\n"))
	e, err := r.Finish(cache.Served{}, chat.Result{HasUsage: true, Usage: chat.Usage{Prompt: 5, Completion: 2, Total: 7}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(e.JSON), `"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}`) {
		t.Errorf("entry = %s", e.JSON)
	}
}

func oneChunk(delta, finish string) string {
	return `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":` + delta +
		`,"finish_reason":` + finish + "}]}\n\n"
}

// padded is a chunk with OpenAI's padding and another member after it.
func padded(content, rest string) string {
	return `data: {"id":"c","choices":[{"index":0,"delta":{"content":"` + content + `"},"finish_reason":null}],"obfuscation":"xyz"` + rest +
		"}\n\n"
}

func TestChunksThatLookAlikeAreReadInFull(t *testing.T) {
	both := oneChunk(`{"reasoning_content":"r","content":"c"}`, "null")
	args := oneChunk(`{"tool_calls":[{"index":0,"id":"i","type":"function","function":{"name":"f","arguments":"1"}}]}`, "null")
	stream := oneChunk(`{"role":"assistant","content":""}`, "null") + both + both + both +
		padded("p", "") + padded("\\\"", "") + padded("q", "") + args + args + args + oneChunk(`{}`, `"stop"`) + "data: [DONE]\n\n"
	e, err := record(asking(t, 1, streaming), true, []byte(stream), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := said{Role: "assistant", Content: `cccp"q`, Reasoning: "rrr", Finish: "stop", Calls: []called{{"i", "function", "f", "111"}}}
	if diff := cmp.Diff(want, readBlocking(t, e.JSON).Choices[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMembersNobodyHereKnowsSurvive(t *testing.T) {
	stream := oneChunk(`{"role":"assistant","content":"","audio_tag":"x"}`, "null") +
		`data: {"id":"c","created":1,"model":"m","citations":["a"],"choices":[{"index":0,"delta":{"thinking_blocks":[{"t":1}]},` +
		`"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"c","created":1,"model":"m","citations":["a","b"],"choices":[{"index":0,"delta":{"content":"hi",` +
		`"thinking_blocks":[{"t":2}]},"finish_reason":"stop","matched_stop":7}]}` + "\n\n" +
		"data: [DONE]\n\n"
	e, err := record(asking(t, 1, streaming), true, []byte(stream), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"citations":["a","b"]`, `"thinking_blocks":[{"t":1},{"t":2}]`, `"audio_tag":"x"`, `"matched_stop":7`} {
		if !strings.Contains(string(e.JSON), want) {
			t.Errorf("the entry lacks %s: %s", want, e.JSON)
		}
		if got := e.Body(asking(t, 1, streaming)); !strings.Contains(string(got), want) {
			t.Errorf("the stream lacks %s: %s", want, got)
		}
	}
}

func TestHalvesOfACharacterInTwoChunksAreOneAgain(t *testing.T) {
	stream := oneChunk(`{"role":"assistant","content":"a"}`, "null") + oneChunk(`{"content":"b"}`, "null") +
		oneChunk(`{"content":"\ud83d"}`, "null") + oneChunk(`{"content":"\ude00"}`, "null") + oneChunk(`{}`, `"stop"`) + "data: [DONE]\n\n"
	e, err := record(asking(t, 1, streaming), true, []byte(stream), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := readBlocking(t, e.JSON).Choices[0].Content; got != "ab😀" {
		t.Errorf("content = %q", got)
	}
}

func TestLegacyCompletionsAreReplayedInTheirOwnForm(t *testing.T) {
	body := `{"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"text":"one ","index":0,` +
		`"logprobs":{"tokens":["one"],"text_offset":[0]},"finish_reason":"stop"},{"text":"two","index":1,"logprobs":null,` +
		`"finish_reason":"length"}]}`
	req := parse(t, chat.TextCompletions, `{"model":"m","prompt":["a","b"],"stream":true}`)
	e, err := record(parse(t, chat.TextCompletions, `{"model":"m","prompt":["a","b"]}`), false, []byte(body), nil)
	if err != nil {
		t.Fatal(err)
	}
	stream := e.Body(req)
	if diff := cmp.Diff(readBlocking(t, []byte(body)), readStream(t, stream)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	again, err := record(req, true, stream, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readBlocking(t, []byte(body)), readBlocking(t, again.JSON)); diff != "" ||
		!strings.Contains(string(again.JSON), `"tokens":["one"]`) {
		t.Errorf("(-want +got):\n%s\n%s", diff, again.JSON)
	}
}

func TestWhatIsNoGoodForOthersIsNotStored(t *testing.T) {
	whole := func(choice string) string { return `{"id":"1","object":"chat.completion","choices":[` + choice + `]}` }
	good := `{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}`
	for name, c := range map[string]struct {
		endpoint  chat.Endpoint
		req, body string
		result    chat.Result
		served    cache.Served
	}{
		"an error":                     {body: `{"error":{"message":"x"}}`},
		"an error beside choices":      {body: `{"error":{"message":"x"},"choices":[` + good + `]}`},
		"text that is no JSON":         {body: `<html>`},
		"a cut body":                   {body: whole(good)[:40]},
		"duplicate members":            {body: `{"choices":[` + good + `],"choices":[` + good + `]}`},
		"no choices":                   {body: whole("")},
		"a filter's stop":              {body: whole(strings.Replace(good, `"stop"`, `"content_filter"`, 1))},
		"a finish reason nobody knows": {body: whole(strings.Replace(good, `"stop"`, `"network_error"`, 1))},
		"no finish reason":             {body: whole(strings.Replace(good, `"stop"`, `null`, 1))},
		"a refusal": {body: whole(`{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},` +
			`"finish_reason":"stop"}`)},
		"an empty answer": {body: whole(`{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop"}`)},
		"reasoning without an answer": {body: whole(`{"index":0,"message":{"role":"assistant","content":null,"reasoning_content":"hm"},` +
			`"finish_reason":"length"}`)},
		"one of two choices": {req: `{"model":"m",` + hello + `,"n":2}`, body: whole(good)},
		"two choices, one unfinished": {req: `{"model":"m",` + hello + `,"n":2}`,
			body: whole(good + `,{"index":1,"message":{"role":"assistant","content":"h"},"finish_reason":null}`)},
		"a failure the decoder saw": {body: whole(good), result: chat.Result{Failure: upstream.BadRequest("", "x")}},
		"the answer of a fallback":  {body: whole(good), served: cache.Served{Fallback: 1}},
		"embeddings fewer than asked": {endpoint: chat.Embeddings, req: `{"model":"m","input":["a","b"]}`,
			body: `{"data":[{"index":0,"embedding":[1]}]}`},
		"a response that is in progress": {endpoint: chat.Responses, req: `{"model":"m","input":"a"}`,
			body: `{"status":"in_progress","output":[{"type":"message"}]}`},
		"a response that refuses": {endpoint: chat.Responses, req: `{"model":"m","input":"a"}`,
			body: `{"status":"completed","output":[{"content":[{"type":"refusal","refusal":"no"}]}]}`},
		"an image": {endpoint: chat.Images, req: `{"model":"m","prompt":"a"}`, body: `{"data":[{"url":"x"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.endpoint == "" {
				c.endpoint = chat.Completions
			}
			if c.req == "" {
				c.req = `{"model":"m",` + hello + `}`
			}
			r := cache.NewRecorder(parse(t, c.endpoint, c.req), false, 0)
			r.Feed([]byte(c.body))
			e, err := r.Finish(c.served, c.result, noon)
			var why cache.Unstorable
			if e != nil || !errors.As(err, &why) {
				t.Errorf("stored: %+v, %v", e, err)
			}
		})
	}
}

func TestStreamsThatAreCutOrOddAreNotStored(t *testing.T) {
	begin := oneChunk(`{"role":"assistant","content":"hi"}`, "null")
	end := oneChunk(`{}`, `"stop"`)
	done := "data: [DONE]\n\n"
	for name, stream := range map[string]string{
		"nothing at all":     "",
		"no finish reason":   begin + done,
		"no [DONE]":          begin + end,
		"bytes after [DONE]": begin + end + done + "data: {",
		"a chunk like the last and a letter": begin + oneChunk(`{"content":"a"}`, "null") +
			strings.TrimSuffix(oneChunk(`{"content":"b"}`, "null"), "\n\n") + "x\n\n" + end + done,
		"an error behind the padding":     begin + padded("a", "") + padded("b", `,"error":{"message":"x"}`) + end + done,
		"a cut [DONE]":                    begin + end + "data: [DO",
		"an error event":                  begin + `data: {"error":{"message":"x"}}` + "\n\n",
		"an error event after the finish": begin + end + `data: {"error":{"message":"x"}}` + "\n\n" + done,
		"an event that is no JSON":        begin + "data: {]\n\n" + end + done,
		"more after [DONE]":               begin + end + done + begin,
		"a filter's stop":                 begin + oneChunk(`{}`, `"content_filter"`) + done,
		"a gap between the choices": begin + end + `data: {"choices":[{"index":2,"delta":{"role":"assistant","content":"x"},` +
			`"finish_reason":"stop"}]}` + "\n\n" + done,
		"an absurd index": begin + end + `data: {"choices":[{"index":1000000000,"delta":{},"finish_reason":"stop"}]}` +
			"\n\n" + done,
		"two calls under one index": begin + oneChunk(`{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}`,
			"null") + oneChunk(`{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{}"}}]}`, "null") + end + done,
		"an unknown member that changes": begin + oneChunk(`{"mystery":1}`, "null") + oneChunk(`{"mystery":2}`, "null") + end + done,
		"content in parts":               oneChunk(`{"role":"assistant","content":[{"type":"text","text":"x"}]}`, "null") + end + done,
		"half a character at the end":    begin + oneChunk(`{"content":"\ud83d"}`, "null") + end + done,
		"sound, whose id expires":        oneChunk(`{"role":"assistant","audio":{"id":"1"}}`, `"stop"`) + done,
		"a stream of which a choice is empty": begin + end +
			`data: {"choices":[{"index":1,"delta":{"role":"assistant"},"finish_reason":"stop"}]}` + "\n\n" + done,
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := record(asking(t, 1, streaming), true, []byte(stream), nil); err == nil {
				t.Errorf("stored: %s", e.JSON)
			}
		})
	}
}

func TestALongAnswerIsForgottenAtOnce(t *testing.T) {
	for _, stream := range []bool{false, true} {
		r := cache.NewRecorder(asking(t, 1, streaming), stream, 4096)
		chunk := []byte(oneChunk(`{"role":"assistant","content":"`+strings.Repeat("x", 100)+`"}`, "null"))
		fed := 0
		for r.Recording() && fed < 1<<20 {
			r.Feed(chunk)
			fed += len(chunk)
		}
		if r.Recording() || fed > 16<<10 {
			t.Errorf("stream=%v: still recording after %d bytes", stream, fed)
		}
		if _, err := r.Finish(cache.Served{}, chat.Result{}, noon); err == nil {
			t.Error("a forgotten answer was stored")
		}
	}
}

func TestAnEventThatNeverEndsIsForgotten(t *testing.T) {
	r := cache.NewRecorder(asking(t, 1, streaming), true, 4096)
	for range 100 {
		r.Feed([]byte("data: " + strings.Repeat("x", 1000)))
	}
	if r.Recording() {
		t.Error("still recording")
	}
}

func TestOtherEndpointsKeepTheirJSON(t *testing.T) {
	for endpoint, c := range map[chat.Endpoint][2]string{
		chat.Moderations: {`{"model":"m","input":"x"}`, `{"id":"modr","results":[{"flagged":false}]}`},
		chat.Rerank:      {`{"model":"m","query":"q","documents":["a"]}`, `{"results":[{"index":0,"relevance_score":0.5}]}`},
		chat.Responses: {`{"model":"m","input":"x"}`, `{"id":"resp","status":"completed","output":[{"type":"message"}],` +
			`"usage":{"input_tokens":1,"output_tokens":2}}`},
	} {
		req := parse(t, endpoint, c[0])
		e, err := record(req, false, []byte(c[1]), nil)
		if err != nil {
			t.Errorf("%s: %v", endpoint, err)
			continue
		}
		if got := e.Body(req); string(got) != c[1] || e.ContentType(req) != "application/json" {
			t.Errorf("%s: %s", endpoint, got)
		}
	}
}

func TestAnswerShowsWhatWasReadSoFar(t *testing.T) {
	const chunk = "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Era uma\"}," +
		"\"finish_reason\":null}]}\n\n"
	for _, c := range []struct {
		name, body string
		stream     bool
		want       string
	}{
		{"nothing yet", "", true, ""},
		{"a stream that was cut in an event", chunk + "data: {\"id\":", true,
			`{"object":"chat.completion","id":"c1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Era uma"},` +
				`"logprobs":null,"finish_reason":null}]}`},
		{"a whole body", ` {"id":"c1"} `, false, `{"id":"c1"}`},
		{"half a body", `{"id":`, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := cache.NewRecorder(asking(t, 1, ""), c.stream, 0)
			r.Feed([]byte(c.body))
			if diff := cmp.Diff(c.want, string(r.Answer())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
