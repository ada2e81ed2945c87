package translate_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// TestAStreamPassesPieceByPieceWhateverItsContentType: servers that give none, or
// another, stream all the same; their errors, usage and ends are seen as those of others.
func TestAStreamPassesPieceByPieceWhateverItsContentType(t *testing.T) {
	const (
		content = `data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n"
		stop    = `data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n"
		usage   = `data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	)
	for _, kind := range []string{"", "text/plain", "application/octet-stream", "TEXT/EVENT-STREAM", "application/json"} {
		t.Run(kind, func(t *testing.T) {
			d := bindKnowing(t, "openai").Decoder(&chat.Request{Endpoint: chat.Completions, Stream: true}, upstream.Head{
				Status: 200, Header: upstream.Header{{Name: "content-type", Value: kind}},
			})
			if out := string(d.Feed([]byte("\r\nda"), false)); out != "" || d.Started() {
				t.Errorf("of a few bytes %q passes", out)
			}
			if out := string(d.Feed([]byte(content[2:]), false)); !strings.Contains(out, content) || !d.Started() {
				t.Errorf("of the first content %q passes", out)
			}
			if out := string(d.Feed([]byte(stop+usage+"data: [DONE]\n\n"), true)); out != stop+"data: [DONE]\n\n" {
				t.Errorf("of the end %q passes", out)
			}
			if r := d.Result(); !r.HasUsage || r.Usage.Completion != 2 || r.Failure != nil {
				t.Errorf("result = %+v", r)
			}
		})
	}
	t.Run("a document stays one", func(t *testing.T) {
		const document = `{"id":"c","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}`
		d := bindKnowing(t, "openai").Decoder(&chat.Request{Endpoint: chat.Completions, Stream: true}, upstream.Head{Status: 200})
		if out := string(d.Feed([]byte(document), true)); out != document || !d.Started() || d.Failed() {
			t.Errorf("%q passes", out)
		}
	})
}
