package gemini_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Google counts from the answer's beginning in each event of a stream.
func TestCountsOfAStreamAreSoFar(t *testing.T) {
	event := func(reason, usage string) string {
		return `{"candidates":[{"content":{"parts":[{"text":"some words"}]}` + reason + `}],"usageMetadata":` + usage + `}`
	}
	const stop = `,"finishReason":"STOP"`
	for name, tc := range map[string]struct {
		events []string
		left   bool
		want   chat.Usage
		whole  bool
	}{
		"the last report holds": {
			[]string{event("", `{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}`),
				event(stop, `{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}`)}, false,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"what it leaves out stays": {
			[]string{event("", `{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}`),
				event(stop, `{"promptTokenCount":5,"totalTokenCount":5}`)}, false, chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"of what the client leaves a report is the least": {
			[]string{event("", `{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}`)}, true,
			chat.Usage{Prompt: 5, Completion: 3, Total: 8}, false,
		},
		"and of what goes on without one": {
			[]string{event("", `{"promptTokenCount":5,"candidatesTokenCount":3,"totalTokenCount":8}`),
				`{"candidates":[{"content":{"parts":[{"text":"more"}]},"finishReason":"STOP"}]}`}, false,
			chat.Usage{Prompt: 5, Completion: 3, Total: 8}, false,
		},
		"left after the last report it is the whole": {
			[]string{event(stop, `{"promptTokenCount":5,"candidatesTokenCount":7,"totalTokenCount":12}`)}, true,
			chat.Usage{Prompt: 5, Completion: 7, Total: 12}, true,
		},
		"and of what breaks off": {
			[]string{event("", `{"promptTokenCount":5,"totalTokenCount":5}`)}, false, chat.Usage{Prompt: 5, Total: 5}, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := suite.Bind(t, upstream.Target{}).Decoder(translatetest.Request(t, chat.Completions, streaming), upstream.Head{Status: 200})
			d.Feed([]byte("data: "+strings.Join(tc.events, "\r\n\r\ndata: ")+"\r\n\r\n"), !tc.left)
			r := d.Result()
			if r.Usage != tc.want || r.HasUsage != tc.whole {
				t.Errorf("usage %+v, of the whole: %v", r.Usage, r.HasUsage)
			}
		})
	}
}
