package openai_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10, 1 << 20} {
		body := `{"model":"m","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"` + strings.Repeat("word ", size/5) + `"}],"temperature":0.2,"stream":true}`
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			tr := bind(b, upstream.Target{})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.Request(parse(b, chat.Completions, body)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBlockingAnswer(b *testing.B) {
	answer := []byte(`{"id":"c1","object":"chat.completion","model":"gpt","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("word ", 200) + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`)
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, `{"model":"m","messages":[]}`)
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: plainJSON}}}
	b.ReportAllocs()
	for b.Loop() {
		d := tr.Decoder(req, head)
		if out := d.Feed(answer, true); len(out) == 0 || !d.Result().HasUsage {
			b.Fatal("no answer")
		}
	}
}

func BenchmarkStream500Chunks(b *testing.B) {
	event := []byte(stream(chunk(`"delta":{"content":"a few words"},"finish_reason":null`)))
	last := []byte(stream(chunk(`"delta":{},"finish_reason":"stop"`), counts, "[DONE]"))
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: eventStream}}}
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, unasked)
	b.ReportAllocs()
	for b.Loop() {
		d := tr.Decoder(req, head)
		for range 500 {
			d.Feed(event, false)
		}
		if out := d.Feed(last, true); len(out) == 0 || !d.Result().HasUsage {
			b.Fatal("no end")
		}
	}
}
