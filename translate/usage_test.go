package translate_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/tokens"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Answers that say "some words": two tokens. USAGE is what the provider counts.
const (
	chatAnswer = `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"some words"},` +
		`"finish_reason":"stop"}]USAGE}`
	chatChunks = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"some words"},"finish_reason":null}]}` + "\n\n" +
		`data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"c","choices":[]USAGE}` + "\n\ndata: [DONE]\n\n"
	legacyAnswer = `{"id":"c","object":"text_completion","choices":[{"index":0,"text":"some words","finish_reason":"stop"}]USAGE}`
	legacyChunks = `data: {"id":"c","choices":[{"index":0,"text":"some words","finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"c","choices":[]USAGE}` + "\n\ndata: [DONE]\n\n"
	response = `{"id":"r","object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text",` +
		`"text":"some words"}]}]USAGE}`
	responseEvents = `data: {"type":"response.created","response":{"id":"r","usage":null}}` + "\n\n" +
		`data: {"type":"response.output_text.delta","output_index":0,"delta":"some words"}` + "\n\n" +
		`data: {"type":"response.completed","response":` + response + `}` + "\n\n"
	message = `{"type":"message","id":"m","role":"assistant","content":[{"type":"text","text":"some words"}],"stop_reason":"end_turn"USAGE}`
	// START is what the provider counts when the message begins.
	messageEvents = `data: {"type":"message_start","message":{"id":"m","type":"message"START}}` + "\n\n" +
		`data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}` + "\n\n" +
		`data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words"}}` + "\n\n" +
		`data: {"type":"content_block_stop","index":0}` + "\n\n" +
		`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}USAGE}` + "\n\n" +
		`data: {"type":"message_stop"}` + "\n\n"
	generated       = `{"candidates":[{"content":{"parts":[{"text":"some words"}]},"finishReason":"STOP"}]USAGE}`
	generatedEvents = `data: {"candidates":[{"content":{"parts":[{"text":"some words"}]}}]}` + "\r\n\r\n" +
		`data: {"candidates":[{"finishReason":"STOP"}]USAGE}` + "\r\n\r\n"
	told      = `{"message":{"role":"assistant","content":"some words"},"done":true,"done_reason":"stop"USAGE}`
	toldLines = `{"message":{"content":"some words"},"done":false}` + "\n" +
		`{"message":{"content":""},"done":true,"done_reason":"stop"USAGE}` + "\n"
	vectors = `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"m"USAGE}`
)

// provided is one provider's answers in both modes.
type provided struct {
	provider         string
	endpoint         chat.Endpoint
	blocking, stream string // "": it has none
}

func answersOf() map[string]provided {
	return map[string]provided{
		"openai":             {"openai", chat.Completions, chatAnswer, chatChunks},
		"openai legacy":      {"openai", chat.TextCompletions, legacyAnswer, legacyChunks},
		"openai responses":   {"openai", chat.Responses, response, responseEvents},
		"openai vectors":     {"openai", chat.Embeddings, vectors, ""},
		"anthropic":          {"anthropic", chat.Completions, message, messageEvents},
		"gemini":             {"gemini", chat.Completions, generated, generatedEvents},
		"gemini legacy":      {"gemini", chat.TextCompletions, generated, generatedEvents},
		"gemini vectors":     {"gemini", chat.Embeddings, `{"embeddings":[{"values":[0.5]}]USAGE}`, ""},
		"ollama":             {"ollama", chat.Completions, told, toldLines},
		"ollama legacy":      {"ollama", chat.TextCompletions, told, toldLines},
		"ollama vectors":     {"ollama", chat.Embeddings, `{"embeddings":[[0.5]]USAGE}`, ""},
		"azure":              {"azure", chat.Completions, chatAnswer, chatChunks},
		"mistral":            {"mistral", chat.Completions, chatAnswer, chatChunks},
		"groq":               {"groq", chat.Completions, chatAnswer, chatChunks},
		"deepseek":           {"deepseek", chat.Completions, chatAnswer, chatChunks},
		"xai":                {"xai", chat.Completions, chatAnswer, chatChunks},
		"a server of vLLM's": {"hosted_vllm", chat.Completions, chatAnswer, chatChunks},
	}
}

// countedBy is what the answers of a provider count, and what must come of it; where
// that is 0, it is an estimate: two tokens of output, and more than none of input.
type countedBy struct {
	answers, usage     string
	prompt, completion int64
}

func counts() map[string]countedBy {
	chatUsage := func(members string) string { return `,"usage":{` + members + `}` }
	all := map[string]countedBy{
		// Anthropic.
		"Anthropic: all": {"anthropic", chatUsage(`"input_tokens":5,"output_tokens":7`), 5, 7},
		"Anthropic: a cache": {
			"anthropic", chatUsage(`"input_tokens":1,"cache_read_input_tokens":3,"cache_creation_input_tokens":1,"output_tokens":7`), 5, 7,
		},
		"Anthropic: the output alone":  {"anthropic", chatUsage(`"output_tokens":7`), 0, 7},
		"Anthropic: the input alone":   {"anthropic", chatUsage(`"input_tokens":5`), 5, 0},
		"Anthropic: an output of none": {"anthropic", chatUsage(`"input_tokens":5,"output_tokens":0`), 5, 0},
		"Anthropic: an input of none":  {"anthropic", chatUsage(`"input_tokens":0,"output_tokens":7`), 0, 7},
		"Anthropic: nulls":             {"anthropic", chatUsage(`"input_tokens":null,"output_tokens":null`), 0, 0},
		"Anthropic: nothing":           {"anthropic", "", 0, 0},
		"Gemini: all": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}`, 5, 7,
		},
		"Gemini: thoughts": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":3,"thoughtsTokenCount":4}`, 5, 7,
		},
		"Gemini: thoughts alone": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":7,"totalTokenCount":12}`, 5, 7,
		},
		"Gemini: thoughts, and the total": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"thoughtsTokenCount":4,"totalTokenCount":12}`, 5, 7,
		},
		"Gemini: no candidates": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"totalTokenCount":12}`, 5, 7,
		},
		"Gemini: no candidates in the sum": {
			"gemini", `,"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}`, 5, 0,
		},
		"Gemini: candidates alone": {"gemini", `,"usageMetadata":{"candidatesTokenCount":7}`, 0, 7},
		"Gemini: candidates, and the total": {
			"gemini", `,"usageMetadata":{"candidatesTokenCount":7,"totalTokenCount":12}`, 5, 7,
		},
		"Gemini: nothing": {"gemini", "", 0, 0},
		"Gemini, legacy: no candidates": {
			"gemini legacy", `,"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5}`, 5, 0,
		},
		"Ollama: all":                   {"ollama", `,"prompt_eval_count":5,"eval_count":7`, 5, 7},
		"Ollama: a prompt of its cache": {"ollama", `,"eval_count":7`, 0, 7},
		"Ollama: no output":             {"ollama", `,"prompt_eval_count":5`, 5, 0},
		"Ollama: nothing":               {"ollama", "", 0, 0},
		"Ollama, legacy: no prompt":     {"ollama legacy", `,"eval_count":7`, 0, 7},
		"Responses: all":                {"openai responses", chatUsage(`"input_tokens":5,"output_tokens":7,"total_tokens":12`), 5, 7},
		"Responses: the input alone":    {"openai responses", chatUsage(`"input_tokens":5`), 5, 0},
		"Responses: the output alone":   {"openai responses", chatUsage(`"output_tokens":7`), 0, 7},
		"Responses: null":               {"openai responses", `,"usage":null`, 0, 0},
		"Responses: zeros":              {"openai responses", chatUsage(`"input_tokens":0,"output_tokens":0,"total_tokens":0`), 0, 0},
		"Groq: under a name of its own": {"groq", `,"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":7}}`, 5, 7},
		"DeepSeek: a cache":             {"deepseek", chatUsage(`"prompt_tokens":5,"completion_tokens":7,"prompt_cache_hit_tokens":3`), 5, 7},
		"xAI: reasoning beside the output": {
			"xai", chatUsage(`"prompt_tokens":5,"completion_tokens":3,"total_tokens":12,"completion_tokens_details":{"reasoning_tokens":4}`), 5, 7,
		},
	}
	for _, name := range []string{"openai", "openai legacy", "azure", "mistral", "groq", "deepseek", "xai", "a server of vLLM's"} {
		for what, c := range map[string]countedBy{
			"all":                       {"", chatUsage(`"prompt_tokens":5,"completion_tokens":7,"total_tokens":12`), 5, 7},
			"no total":                  {"", chatUsage(`"prompt_tokens":5,"completion_tokens":7`), 5, 7},
			"the prompt and the total":  {"", chatUsage(`"prompt_tokens":5,"total_tokens":12`), 5, 7},
			"the output and the total":  {"", chatUsage(`"completion_tokens":7,"total_tokens":12`), 5, 7},
			"the total alone":           {"", chatUsage(`"total_tokens":12`), 10, 2},
			"the prompt alone":          {"", chatUsage(`"prompt_tokens":5`), 5, 0},
			"the output alone":          {"", chatUsage(`"completion_tokens":7`), 0, 7},
			"an output of none":         {"", chatUsage(`"prompt_tokens":5,"completion_tokens":0,"total_tokens":5`), 5, 0},
			"zeros":                     {"", chatUsage(`"prompt_tokens":0,"completion_tokens":0,"total_tokens":0`), 0, 0},
			"nulls":                     {"", chatUsage(`"prompt_tokens":null,"completion_tokens":null,"total_tokens":null`), 0, 0},
			"less than nothing":         {"", chatUsage(`"prompt_tokens":-1,"completion_tokens":-1,"total_tokens":-1`), 0, 0},
			"null":                      {"", `,"usage":null`, 0, 0},
			"nothing":                   {"", "", 0, 0},
			"the Responses API's words": {"", chatUsage(`"input_tokens":5,"output_tokens":7`), 5, 7},
		} {
			c.answers = name
			all[name+": "+what] = c
		}
	}
	return all
}

// TestWhatAProviderDoesNotCountIsEstimated: what it does count holds.
func TestWhatAProviderDoesNotCountIsEstimated(t *testing.T) {
	counter := tokens.New()
	for name, c := range counts() {
		p := answersOf()[c.answers]
		for mode, answer := range map[string]string{"blocking": p.blocking, "stream": p.stream} {
			if mode == "blocking" && strings.Contains(c.usage, "x_groq") {
				continue // of streams alone
			}
			t.Run(name+", "+mode, func(t *testing.T) {
				r := decoded(t, p, strings.NewReplacer("USAGE", c.usage, "START", "").Replace(answer), mode == "stream", false)
				whole := c.prompt > 0 && c.completion > 0 && r.Usage.Prompt > 0
				if r.HasUsage != whole || r.Failure != nil {
					t.Errorf("the provider has counted the whole: %v; %+v", r.HasUsage, r)
				}
				counter.Estimate("m", askOf(t, p.endpoint, mode == "stream"), &r)
				fits := func(got, want, estimate int64) bool {
					return got == want || want == 0 && got >= estimate && got <= estimate+20
				}
				if u := r.Usage; !r.HasUsage || r.Estimated == whole || !fits(u.Prompt, c.prompt, 1) || !fits(u.Completion, c.completion, 2) ||
					u.Total != u.Prompt+u.Completion || c.completion == 0 && u.Completion != 2 {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// TestVectorsHaveNoOutput: only the prompt counts, and where nobody says it, the text.
func TestVectorsHaveNoOutput(t *testing.T) {
	counter := tokens.New()
	for name, tc := range map[string]countedBy{
		"OpenAI":                    {"openai vectors", `,"usage":{"prompt_tokens":5,"total_tokens":5}`, 5, 0},
		"a server's total":          {"openai vectors", `,"usage":{"total_tokens":5}`, 5, 0},
		"a server that says zeros":  {"openai vectors", `,"usage":{"prompt_tokens":0,"total_tokens":0}`, 0, 0},
		"a server that says none":   {"openai vectors", ``, 0, 0},
		"Gemini":                    {"gemini vectors", `,"usageMetadata":{"promptTokenCount":5}`, 5, 0},
		"Gemini, of before":         {"gemini vectors", ``, 0, 0},
		"Ollama":                    {"ollama vectors", `,"prompt_eval_count":5`, 5, 0},
		"Ollama, of its cache":      {"ollama vectors", ``, 0, 0},
		"Ollama, a count of zero":   {"ollama vectors", `,"prompt_eval_count":0`, 0, 0},
		"Gemini, that says nothing": {"gemini vectors", `,"usageMetadata":{"promptTokenCount":0}`, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := answersOf()[tc.answers]
			r := decoded(t, p, strings.ReplaceAll(p.blocking, "USAGE", tc.usage), false, false)
			counter.Estimate("m", askOf(t, p.endpoint, false), &r)
			if u := r.Usage; u.Prompt != tc.prompt && (tc.prompt > 0 || u.Prompt <= 0) || u.Completion != 0 || !r.HasUsage ||
				tc.prompt == 0 && !r.Estimated {
				t.Errorf("%+v", r)
			}
		})
	}
}

func askOf(t testing.TB, endpoint chat.Endpoint, stream bool) *chat.Request {
	t.Helper()
	body := `{"model":"m","messages":[{"role":"user","content":"hi"}],"prompt":"hi","input":"hi"`
	if stream {
		body += `,"stream":true`
	}
	return translatetest.Request(t, endpoint, body+"}")
}

// decoded is what a provider's answer turns out to be; left: the client leaves at its
// end.
func decoded(t testing.TB, p provided, answer string, stream, left bool) chat.Result {
	t.Helper()
	b, err := translate.Bind(&upstream.Target{Provider: p.provider, Model: "m", BaseURL: "http://localhost/v1"})
	if err != nil {
		t.Fatal(err)
	}
	kind := "application/json"
	switch {
	case stream && p.provider == "ollama":
		kind = "application/x-ndjson"
	case stream:
		kind = "text/event-stream"
	}
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: kind}}}
	d := b.Decoder(askOf(t, p.endpoint, stream), head)
	d.Feed([]byte(answer), !left)
	return d.Result()
}
