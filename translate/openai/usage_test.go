package openai_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// The usage of streams, as servers report it.
func TestUsageEventsAreTakenAsTheirServersMeanThem(t *testing.T) {
	text := func(index string) string {
		return `{"id":"c","choices":[{"index":` + index + `,"delta":{"content":"some words"},"finish_reason":null}]`
	}
	end := func(index string) string {
		return `{"id":"c","choices":[{"index":` + index + `,"delta":{},"finish_reason":"stop"}]`
	}
	report := func(prompt, completion string) string {
		return `,"usage":{"prompt_tokens":` + prompt + `,"completion_tokens":` + completion + `}}`
	}
	const only = `{"id":"c","choices":[]`
	for name, tc := range map[string]struct {
		events []string
		left   bool // the client leaves after these events
		want   chat.Usage
		whole  bool
	}{
		"OpenAI: once, at the end": {
			[]string{text("0") + `,"usage":null}`, end("0") + `,"usage":null}`, only + report("5", "7"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"vLLM with n: 2: once, after both choices": {
			[]string{text("0") + "}", text("1") + "}", end("0") + "}", end("1") + "}", only + report("5", "14"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 14, Total: 19}, true,
		},
		"llama.cpp with n: 2: one report a choice, after it": {
			[]string{text("0") + "}", end("0") + "}", only + report("5", "7"), text("1") + "}", end("1") + "}", only + report("5", "7"), "[DONE]"},
			false, chat.Usage{Prompt: 5, Completion: 14, Total: 19}, true,
		},
		"llama.cpp of before, with n: 3: with the finish reason": {
			[]string{text("0") + "}", end("0") + report("5", "7"), end("1") + report("5", "8"), end("2") + report("5", "9"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 24, Total: 29}, true,
		},
		"xAI, Perplexity: in every chunk, from the beginning": {
			[]string{text("0") + report("5", "2"), text("0") + report("5", "4"), end("0") + report("5", "4"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 4, Total: 9}, true,
		},
		"vLLM with continuous_usage_stats and n: 2: each choice's own, then the sum": {
			[]string{
				text("0") + report("5", "2"), text("1") + report("5", "2"), end("0") + report("5", "4"), end("1") + report("5", "4"),
				only + report("5", "8"), "[DONE]",
			}, false, chat.Usage{Prompt: 5, Completion: 8, Total: 13}, true,
		},
		"Groq: in the last chunk under a name of its own, and again": {
			[]string{
				text("0") + "}", end("0") + `,"x_groq":{"usage":{"prompt_tokens":5,"completion_tokens":7}}}`, only + report("5", "7"), "[DONE]",
			}, false, chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"a proxy that repeats the report": {
			[]string{text("0") + "}", end("0") + "}", only + report("5", "7"), only + report("5", "7"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"a finish reason that comes again": {
			[]string{text("0") + "}", end("0") + report("5", "7"), end("0") + report("5", "7"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"zeros at the end wipe nothing": {
			[]string{text("0") + "}", end("0") + report("5", "7"), only + report("0", "0"), "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"nor does a report of the prompt alone": {
			[]string{text("0") + "}", end("0") + report("5", "7"), only + report("5", "0"), only + `,"usage":null}`, "[DONE]"}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"zeros alone count nothing": {
			[]string{text("0") + "}", end("0") + report("0", "0"), "[DONE]"}, false, chat.Usage{}, false,
		},
		"an opening count of the prompt is no count of the answer": {
			[]string{text("0") + report("5", "0"), text("0") + "}", end("0") + "}", "[DONE]"}, false, chat.Usage{Prompt: 5, Total: 5}, false,
		},
		"of what the client leaves a report on the way is the least": {
			[]string{text("0") + report("5", "2"), text("0") + report("5", "4")}, true, chat.Usage{Prompt: 5, Completion: 4, Total: 9}, false,
		},
		"left after the first choice's report, while the second goes on": {
			[]string{text("0") + "}", end("0") + "}", only + report("5", "7"), text("1") + "}"}, true,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, false,
		},
		"left after the report of all": {
			[]string{text("0") + "}", end("0") + "}", only + report("5", "7")}, true, chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"cut off without a finish reason": {
			[]string{text("0") + report("5", "2")}, false, chat.Usage{Prompt: 5, Completion: 2, Total: 7}, false,
		},
		"counted after an error": {
			[]string{
				text("0") + "}", `{"error":{"message":"m"},"choices":[{"index":0,"finish_reason":"error"}]}`, only + report("5", "7"), "[DONE]",
			}, false, chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := decoderOf(t, translatetest.Request(t, chat.Completions, asked))
			d.Feed([]byte(stream(tc.events...)), !tc.left)
			if r := d.Result(); r.Usage != tc.want || r.HasUsage != tc.whole {
				t.Errorf("usage %+v, of the whole: %v; want %+v, %v", r.Usage, r.HasUsage, tc.want, tc.whole)
			}
		})
	}
}

// What Envoy cannot count is read.
func TestSeveralChoicesOfAnotherServerAreNotCarried(t *testing.T) {
	another := upstream.Target{BaseURL: "http://127.0.0.1:1/v1", CarryStreams: true}
	two := another
	two.Defaults = []upstream.Param{{Name: "n", Value: jsontext.Value("2")}}
	genuine := upstream.Target{BaseURL: "https://api.openai.com/v1"}
	for name, tc := range map[string]struct {
		target  upstream.Target
		body    string
		carried bool
	}{
		"one choice":                        {another, ``, true},
		"one choice, by name":               {another, `,"n":1`, true},
		"null":                              {another, `,"n":null`, true},
		"several of another server":         {another, `,"n":2`, false},
		"several by the deployment":         {two, ``, false},
		"one, of a deployment that has two": {two, `,"n":1`, true},
		"several of OpenAI":                 {genuine, `,"n":2`, true},
		"probabilities":                     {genuine, `,"logprobs":true,"top_logprobs":5`, false},
		"no probabilities":                  {genuine, `,"logprobs":false`, true},
		"a server nobody vouches for":       {upstream.Target{BaseURL: "http://127.0.0.1:1/v1"}, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Replace(`{"messages":[],"stream":true,"stream_options":{"include_usage":true}BODY}`, "BODY", tc.body, 1)
			if got := suite.Bind(t, tc.target).Carries(translatetest.Request(t, chat.Completions, body)); got != tc.carried {
				t.Errorf("carried unread: %v", got)
			}
		})
	}
}
