package translatetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Answers is what a provider says in its benchmark.
type Answers struct {
	Answer      string // blocking: of 200 words
	First       string // what begins a stream; may be ""
	Chunk       string // what a stream says 500 times
	Last        string // what ends it
	ContentType string // of the stream; "": the Decoder does not ask
}

// Words is a text of n words.
func Words(n int) string { return strings.Repeat("word ", n) }

// Bench measures the provider's translator: requests of 1 KB, 32 KB and 1 MB,
// parsing included, a blocking answer and a stream of 500 chunks.
func Bench(b *testing.B, s Suite, say Answers) {
	tr := s.Bind(b, upstream.Target{})
	for _, size := range []int{1 << 10, 32 << 10, 1 << 20} {
		body := `{"model":"m","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"` + Words(size/5) +
			`"}],"temperature":0.2}`
		b.Run(fmt.Sprintf("request/%dKB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.Request(Request(b, chat.Completions, body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("answer", func(b *testing.B) {
		req := Request(b, chat.Completions, `{"messages":[]}`)
		answer := []byte(say.Answer)
		b.ReportAllocs()
		for b.Loop() {
			d := tr.Decoder(req, upstream.Head{Status: 200})
			if out := d.Feed(answer, true); len(out) == 0 || !d.Result().HasUsage {
				b.Fatal("no answer")
			}
		}
	})
	b.Run("stream/500chunks", func(b *testing.B) {
		req := Request(b, chat.Completions, `{"messages":[],"stream":true}`)
		head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: say.ContentType}}}
		first, chunk, last := []byte(say.First), []byte(say.Chunk), []byte(say.Last)
		b.ReportAllocs()
		for b.Loop() {
			d := tr.Decoder(req, head)
			d.Feed(first, false)
			for range 500 {
				d.Feed(chunk, false)
			}
			if out := d.Feed(last, true); len(out) == 0 || d.Failed() {
				b.Fatal("no end")
			}
		}
	})
}
