package callback

import (
	"testing"
)

func TestResponsesReader(t *testing.T) {
	const deltas = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r1\"}}\n\n" +
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Olá, \"}\n\n" +
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"mundo\\\"\"}\n\n"
	const completed = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r1\",\"output\":[1.50]}}\n\n"
	for _, c := range []struct{ name, stream, want string }{
		{"a whole stream gives the whole answer", deltas + completed, `{"id":"r1","output":[1.50]}`},
		{"a cut stream gives its text so far", deltas + completed[:len(completed)-4],
			`{"object":"response","status":"incomplete","output":[{"type":"message","role":"assistant","content":[{"type":"output_text",` +
				`"text":"Olá, \"mundo\""}]}]}`},
		{"a stream without text gives nothing", deltas[:80], ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r ResponsesReader
			for i := range len(c.stream) {
				r.Feed([]byte{c.stream[i]})
			}
			if got := string(r.Answer()); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
