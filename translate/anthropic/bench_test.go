package anthropic_test

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
	answer := []byte(reply(`{"type":"text","text":"`+strings.Repeat("word ", 200)+`"}`, "end_turn"))
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, blocking)
	b.ReportAllocs()
	for b.Loop() {
		if out := tr.Decoder(req, upstream.Head{Status: 200}).Feed(answer, true); len(out) == 0 {
			b.Fatal("no answer")
		}
	}
}

func BenchmarkStream500Chunks(b *testing.B) {
	first := []byte(events(begin, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`))
	event := []byte("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a few words\"}}\n\n")
	last := []byte(events(`{"type":"content_block_stop","index":0}`, end, over))
	tr, req := bind(b, upstream.Target{}), parse(b, chat.Completions, streaming)
	b.ReportAllocs()
	for b.Loop() {
		d := tr.Decoder(req, upstream.Head{Status: 200})
		d.Feed(first, false)
		for range 500 {
			d.Feed(event, false)
		}
		if out := d.Feed(last, true); len(out) == 0 {
			b.Fatal("no end")
		}
	}
}
