package anthropic_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestAnOpeningNumberIsNoCount(t *testing.T) {
	const (
		start = `{"type":"message_start","message":{"id":"m","type":"message","usage":{"input_tokens":5,"cache_read_input_tokens":3,` +
			`"output_tokens":1}}}`
		block = `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`
		words = `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some words"}}`
		done  = `{"type":"message_stop"}`
		lost  = `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`
	)
	end := func(reason, usage string) string {
		return `{"type":"message_delta","delta":{"stop_reason":` + reason + `},"usage":` + usage + `}`
	}
	prompt := chat.Usage{Prompt: 8, Total: 8, Cached: 3}
	counted := chat.Usage{Prompt: 8, Completion: 7, Total: 15, Cached: 3}
	for name, tc := range map[string]struct {
		events []string
		left   bool
		want   chat.Usage
		whole  bool
	}{
		"whole":                         {[]string{start, block, words, end(`"end_turn"`, `{"output_tokens":7}`), done}, false, counted, true},
		"left by the client":            {[]string{start, block, words}, true, prompt, false},
		"left before anything":          {[]string{start}, true, prompt, false},
		"left after the count":          {[]string{start, block, words, end(`"end_turn"`, `{"output_tokens":7}`)}, true, counted, true},
		"left after a count on the way": {[]string{start, block, words, end(`null`, `{"output_tokens":7}`), words}, true, counted, false},
		"cut off":                       {[]string{start, block, words}, false, prompt, false},
		"an error in the middle":        {[]string{start, block, words, lost}, false, prompt, false},
		"an end that counts nothing":    {[]string{start, block, words, end(`"end_turn"`, `{}`), done}, false, prompt, false},
		"an end that counts zeros": {
			[]string{start, block, words, end(`"end_turn"`, `{"output_tokens":0,"input_tokens":0}`), done}, false, prompt, false,
		},
		"a count, and its reason in the next": {
			[]string{start, block, words, end(`null`, `{"output_tokens":7}`), end(`"end_turn"`, `{}`), done}, false, counted, true,
		},
		"a count, and words after it": {
			[]string{start, block, words, end(`null`, `{"output_tokens":7}`), words, end(`"end_turn"`, `{}`), done}, false, counted, false,
		},
		"a count, and a zero after it": {
			[]string{start, block, words, end(`null`, `{"output_tokens":7}`), end(`"end_turn"`, `{"output_tokens":0}`), done}, false, counted, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			body := "data: " + strings.Join(tc.events, "\n\ndata: ") + "\n\n"
			d := suite.Bind(t, upstream.Target{}).Decoder(translatetest.Request(t, chat.Completions, streaming), upstream.Head{Status: 200})
			d.Feed([]byte(body), !tc.left)
			r := d.Result()
			if r.Usage != tc.want || r.HasUsage != tc.whole {
				t.Errorf("usage %+v, of the whole: %v", r.Usage, r.HasUsage)
			}
			if said := strings.Contains(body, "some words"); !r.HasUsage && said != (r.Output.Bytes > 0) {
				t.Errorf("measured %+v", r.Output)
			}
		})
	}
}
