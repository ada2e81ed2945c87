package ollama_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{1 << 10, 32 << 10, 1 << 20} {
		body := `{"model":"m","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":"` + strings.Repeat("word ", size/5) + `"}],"temperature":0.2}`
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
	answer := []byte(`{"model":"m","message":{"role":"assistant","content":"` + strings.Repeat("word ", 200) + `"},"done":true,"done_reason":"stop","prompt_eval_count":2,"eval_count":200}`)
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, blocking)
	b.ReportAllocs()
	for b.Loop() {
		if out := tr.Decoder(req, upstream.Head{Status: 200}).Feed(answer, true); len(out) == 0 {
			b.Fatal("no answer")
		}
	}
}

func BenchmarkStream500Chunks(b *testing.B) {
	line := []byte(`{"model":"m","created_at":"2025-06-01T10:00:00.123456789Z","message":{"role":"assistant","content":"word"},"done":false}` + "\n")
	last := []byte(`{"model":"m","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}` + "\n")
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, streaming)
	b.ReportAllocs()
	for b.Loop() {
		d := tr.Decoder(req, upstream.Head{Status: 200})
		for range 500 {
			d.Feed(line, false)
		}
		if out := d.Feed(last, true); len(out) == 0 {
			b.Fatal("no end")
		}
	}
}
