package translate_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// speaker writes streams as a provider does.
type speaker struct {
	provider string
	endpoint chat.Endpoint
	opening  string
	// says are events with one text, TEXT, as a JSON string; SOFAR stands where the
	// provider may count.
	says []string
	// ends is what follows the text, with USAGE; where ending is left out, the stream is
	// cut off.
	ends    string
	failure string
	soFar   func(prompt, completion int64) string
	usage   func(prompt, completion int64) string
}

func speakers() map[string]speaker {
	openAI := func(prompt, completion int64) string {
		return fmt.Sprintf(`,"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, completion, prompt+completion)
	}
	data := func(text string) string { return "data: " + text + "\n\n" }
	delta := func(inside string) string {
		return data(`{"id":"c","choices":[{"index":0,"delta":{` + inside + `},"finish_reason":null}]SOFAR}`)
	}
	failed := data(`{"error":{"message":"no","type":"server_error"}}`)
	gemini := func(prompt, completion int64) string {
		return fmt.Sprintf(`,"usageMetadata":{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d}`, prompt, completion,
			prompt+completion)
	}
	parts := func(inside string) string {
		return data(`{"candidates":[{"content":{"parts":[` + inside + `]}}]SOFAR}`)
	}
	ollama := func(prompt, completion int64) string {
		return fmt.Sprintf(`,"prompt_eval_count":%d,"eval_count":%d`, prompt, completion)
	}
	none := func(int64, int64) string { return "" }
	return map[string]speaker{
		"OpenAI": {
			"openai", chat.Completions, delta(`"role":"assistant","content":""`),
			[]string{
				delta(`"content":TEXT`), delta(`"reasoning_content":TEXT`), delta(`"reasoning":TEXT,"reasoning_content":TEXT`), delta(`"refusal":TEXT`),
				delta(`"content":null,"tool_calls":[{"index":0,"function":{"arguments":TEXT}}]`),
				data(`{"id":"c","choices":[{"index":0,"delta":{"content":""}},{"index":1,"delta":{"content":TEXT}}]SOFAR}`),
			},
			data(`{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`) +
				data(`{"id":"c","choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}`) + data(`{"id":"c","choices":[]USAGE}`) + data("[DONE]"),
			failed, openAI, openAI,
		},
		"OpenAI, legacy": {
			"openai", chat.TextCompletions, ": comment\n\n", []string{data(`{"id":"c","choices":[{"index":0,"text":TEXT}]SOFAR}`)},
			data(`{"id":"c","choices":[{"index":0,"text":"","finish_reason":"stop"}]USAGE}`) + data("[DONE]"), failed, openAI, openAI,
		},
		"the Responses API": {
			"openai", chat.Responses, data(`{"type":"response.created","response":{"id":"r","usage":null}}`),
			[]string{
				data(`{"type":"response.output_text.delta","output_index":0,"delta":TEXT}`),
				data(`{"type":"response.reasoning_summary_text.delta","output_index":1,"delta":TEXT}`),
				data(`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","arguments":TEXT}}`),
			},
			data(`{"type":"response.completed","response":{"id":"r"USAGE}}`), data(`{"type":"error","message":"no","code":"server_error"}`), none,
			func(prompt, completion int64) string {
				return fmt.Sprintf(`,"usage":{"input_tokens":%d,"output_tokens":%d,"total_tokens":%d}`, prompt, completion, prompt+completion)
			},
		},
		"Anthropic": {
			"anthropic", chat.Completions,
			data(`{"type":"message_start","message":{"id":"m","type":"message","usage":{"input_tokens":5,"output_tokens":1}}}`) +
				data(`{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) +
				data(`{"type":"content_block_start","index":1,"content_block":{"type":"thinking","thinking":""}}`) +
				data(`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`),
			[]string{
				data(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":TEXT}}`),
				data(`{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":TEXT}}`),
				data(`{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":TEXT}}`),
				data(`{"type":"ping"}`) + data(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":TEXT}}`),
			},
			data(`{"type":"content_block_stop","index":0}`) + data(`{"type":"content_block_stop","index":1}`) +
				data(`{"type":"content_block_stop","index":2}`) +
				data(`{"type":"message_delta","delta":{"stop_reason":"end_turn"}USAGE}`) + data(`{"type":"message_stop"}`),
			data(`{"type":"error","error":{"type":"overloaded_error","message":"no"}}`), none,
			func(prompt, completion int64) string {
				return fmt.Sprintf(`,"usage":{"input_tokens":%d,"output_tokens":%d}`, prompt, completion)
			},
		},
		"Gemini": {
			"gemini", chat.Completions, data(`{"responseId":"r"SOFAR}`),
			[]string{parts(`{"text":TEXT}`), parts(`{"text":TEXT,"thought":true}`), parts(`{"functionCall":{"name":"f","args":{"a":TEXT}}}`)},
			data(`{"candidates":[{"finishReason":"STOP"}]USAGE}`), data(`{"error":{"code":503,"message":"no"}}`), gemini, gemini,
		},
		"Ollama": {
			"ollama", chat.Completions, "",
			[]string{
				`{"message":{"content":TEXT},"done":false}` + "\n", `{"message":{"content":"","thinking":TEXT},"done":false}` + "\n",
				`{"message":{"content":"","tool_calls":[{"function":{"name":"f","arguments":{"a":TEXT}}}]},"done":false}` + "\n",
			},
			`{"message":{"content":""},"done":true,"done_reason":"stop"USAGE}` + "\n", `{"error":"no"}` + "\n", none, ollama,
		},
	}
}

// spoken is a stream, and what is in it.
type spoken struct {
	bytes   string
	ends    []int // where its events with text end
	texts   []string
	whole   bool
	counted bool // its end has the usage
	usage   chat.Usage
	soFar   int64 // the last count on the way
}

// speak makes a stream up.
func speak(s speaker, counter *tokens.Counter, rnd *rand.Rand) spoken {
	words := []string{" word", " quick", " naïve", "\n", ` "so"`, " 日本", " 12", " tokens", "\\", "."}
	soFar := []string{"none", "the prompt", "all"}[rnd.IntN(3)]
	says := func(event string, completion int64) string {
		switch soFar {
		case "the prompt":
			return strings.ReplaceAll(event, "SOFAR", s.soFar(5, 0))
		case "all":
			return strings.ReplaceAll(event, "SOFAR", s.soFar(5, completion))
		}
		return strings.ReplaceAll(event, "SOFAR", "")
	}
	var out spoken
	var all strings.Builder
	out.bytes = says(s.opening, 0)
	for range rnd.IntN(60) {
		var text strings.Builder
		for range 1 + rnd.IntN(12) {
			text.WriteString(words[rnd.IntN(len(words))])
		}
		quoted, _ := json.Marshal(text.String())
		all.WriteString(text.String())
		out.texts = append(out.texts, text.String())
		so := int64(0)
		if soFar == "all" && s.soFar(1, 1) != "" {
			so = counter.Count("m", all.String())
			out.soFar = so
		}
		out.bytes += strings.ReplaceAll(says(s.says[rnd.IntN(len(s.says))], so), "TEXT", string(quoted))
		out.ends = append(out.ends, len(out.bytes))
	}
	switch rnd.IntN(4) {
	case 0:
		out.bytes += s.failure
	case 1: // cut off
	default:
		out.whole = len(out.texts) > 0
		ends := s.ends
		if out.counted = rnd.IntN(3) > 0; out.counted {
			n := counter.Count("m", all.String()) + 3
			out.usage = chat.Usage{Prompt: 5, Completion: n, Total: 5 + n}
			ends = strings.ReplaceAll(ends, "USAGE", s.usage(5, n))
		}
		out.bytes += strings.ReplaceAll(ends, "USAGE", "")
	}
	return out
}

// checkCounted reads a stream of a provider, of which the client takes so much, in
// pieces, and holds what is counted to what was delivered.
func checkCounted(t *testing.T, counter *tokens.Counter, name string, seed uint64, taken int) {
	t.Helper()
	s, rnd := speakers()[name], rand.New(rand.NewPCG(seed, 1))
	said := speak(s, counter, rnd)
	taken = min(max(taken, 0), len(said.bytes))
	left := taken < len(said.bytes) || rnd.IntN(2) == 0 // the client leaves, and reads no end
	b, err := translate.Bind(&upstream.Target{Provider: s.provider, Model: "m", BaseURL: "http://localhost/v1"})
	if err != nil {
		t.Fatal(err)
	}
	kind := "text/event-stream"
	if s.provider == "ollama" {
		kind = "application/x-ndjson"
	}
	req := askOf(t, s.endpoint, true)
	d := b.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: kind}}})
	for rest := said.bytes[:taken]; rest != ""; {
		n := 1 + rnd.IntN(len(rest))
		d.Feed([]byte(rest[:n]), !left && n == len(rest))
		rest = rest[n:]
	}
	r := d.Result()
	if again := d.Result(); again.Usage != r.Usage || again.HasUsage != r.HasUsage || again.Output != r.Output {
		t.Errorf("%s %d: asked again it is %+v, first %+v", name, seed, again.Usage, r.Usage)
	}
	counter.Estimate("m", req, &r)
	if said.whole && said.counted && taken == len(said.bytes) {
		if r.Usage.Reasoning = 0; r.Usage != said.usage || r.Estimated { // of the reasoning, Ollama says nothing
			t.Errorf("%s %d: of a whole stream %+v is counted, estimated %v; the provider says %+v", name, seed, r.Usage, r.Estimated, said.usage)
		}
		return
	}
	var delivered strings.Builder
	for i, end := range said.ends {
		if end <= taken {
			delivered.WriteString(said.texts[i])
		}
	}
	seen := counter.Count("m", delivered.String())
	least, most := seen*3/4-8, max(seen*3/2+40, said.soFar)
	u := r.Usage
	if u.Completion < least || u.Completion > most || seen > 0 && (u.Prompt <= 0 || !r.HasUsage) || u.Total != u.Prompt+u.Completion {
		t.Errorf("%s %d, left after %d of %d bytes: %d tokens were delivered, %+v is counted", name, seed, taken, len(said.bytes), seen, r.Usage)
	}
}

// TestWhatWasDeliveredIsCountedOnce, wherever a stream is cut and however it ends.
func TestWhatWasDeliveredIsCountedOnce(t *testing.T) {
	counter := tokens.New()
	for name := range speakers() {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(7, 7))
			for seed := range uint64(60) {
				taken := 1 << 20
				if seed%3 == 0 {
					taken = rnd.IntN(8000)
				}
				checkCounted(t, counter, name, seed, taken)
			}
		})
	}
}

// FuzzCounted is TestWhatWasDeliveredIsCountedOnce over all streams.
func FuzzCounted(f *testing.F) {
	counter := tokens.New()
	for name := range speakers() {
		f.Add(name, uint64(1), 700)
		f.Add(name, uint64(2), 1<<20)
	}
	f.Fuzz(func(t *testing.T, name string, seed uint64, taken int) {
		if _, ok := speakers()[name]; ok {
			checkCounted(t, counter, name, seed, taken)
		}
	})
}
