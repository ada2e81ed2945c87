package translatetest

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Opening is how a provider's streams begin.
type Opening struct {
	Endpoint    chat.Endpoint // "": chat/completions
	ContentType string        // of the stream; "": the Decoder does not ask
	Silent      []string      // pieces of a stream that have nothing of an answer
	Carriers    []string      // pieces each of which has something, and could come next
}

// Starts holds the provider's Decoder to it that an answer has started with the last
// byte of the first piece that carries something of it, and not before.
func Starts(t *testing.T, s Suite, o Opening) {
	t.Helper()
	if o.Endpoint == "" {
		o.Endpoint = chat.Completions
	}
	tr := s.Bind(t, upstream.Target{})
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: o.ContentType}}}
	req := Request(t, o.Endpoint, `{"messages":[],"prompt":"a","input":"a","stream":true}`)
	for _, carrier := range o.Carriers {
		d := tr.Decoder(req, head)
		for _, piece := range o.Silent {
			for i := range len(piece) {
				if d.Feed([]byte(piece[i:i+1]), false); d.Started() {
					t.Fatalf("%s: started by byte %d of %q", o.Endpoint, i, piece)
				}
			}
		}
		for i := range len(carrier) {
			d.Feed([]byte(carrier[i:i+1]), false)
			if last := i == len(carrier)-1; d.Started() != last {
				t.Errorf("%s: started is %v after byte %d of %d of %q", o.Endpoint, !last, i, len(carrier), carrier)
				break
			}
		}
	}
	d := tr.Decoder(req, head)
	for _, piece := range o.Silent {
		d.Feed([]byte(piece), false)
	}
	if d.Feed(nil, true); d.Started() {
		t.Errorf("%s: started by its end", o.Endpoint)
	}
}

// checkStarted holds the Decoder to it that the moment at which the golden answer
// starts is the same however it is cut, and that a stream's client has something of
// the answer at that moment, and nothing before.
func (x *Exchange) checkStarted(t *testing.T, bound *translate.Bound) {
	t.Helper()
	if x.answer.head.Status != 200 {
		return
	}
	req, err := x.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	body := x.answer.body
	start := len(body) + 1
	d := bound.Decoder(req, x.answer.head)
	var out []byte
	for i := range body {
		out = append(out, d.Feed([]byte{body[i]}, i == len(body)-1)...)
		if d.Started() {
			start = i + 1
			break
		}
		if req.Stream && says(t, out) {
			t.Fatalf("after byte %d the client has some of the answer, which has not started: %s", i, out)
		}
	}
	if failed := x.want.fault != nil || x.want.streamFault != nil; start > len(body) && !failed {
		t.Fatal("the answer never starts")
	}
	if req.Stream && start < len(body) && !says(t, out) {
		t.Errorf("the answer has started after %d bytes, but the client has nothing of it: %s", start, out)
	}
	for cut := range len(body) {
		d := bound.Decoder(req, x.answer.head)
		d.Feed(body[:cut:cut], false)
		if got, want := d.Started(), cut >= start; got != want {
			t.Fatalf("after the first %d bytes at once started is %v; byte by byte it starts at %d", cut, got, start)
		}
	}
}

// says reports whether OpenAI's chunks have something of an answer in them.
func says(t testing.TB, chunks []byte) bool {
	t.Helper()
	for line := range strings.Lines(string(chunks)) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok || !strings.HasPrefix(data, "{") {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta  map[string]jsontext.Value `json:"delta"`
				Text   string                    `json:"text"`
				Finish string                    `json:"finish_reason"`
			} `json:"choices"`
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			continue // an event that is not whole yet
		}
		for _, c := range chunk.Choices {
			for name, value := range c.Delta {
				if name != "role" && len(value) > len(`""`) && string(value) != "null" {
					return true
				}
			}
			if c.Text != "" || c.Finish != "" {
				return true
			}
		}
	}
	return false
}
