package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/extproc/cache"
)

// BenchmarkHit is all that a hit costs: controls, key, lookup, and the body as
// JSON or as a stream.
func BenchmarkHit(b *testing.B) {
	l, err := cache.NewLocal(0)
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	c := cache.New(cache.Config{Blobs: l})
	defer func() { _ = c.Close(context.Background()) }()
	body := []byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt","choices":[{"index":0,` +
		`"message":{"role":"assistant","content":"` +
		strings.Repeat(`A cache keeps what was expensive to get.\n`, 50) +
		`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":450,"total_tokens":459}}`)
	for name, extra := range map[string]string{"json": "", "stream": `,"stream":true,"stream_options":{"include_usage":true}`} {
		req := chatRequest(b, strings.TrimSuffix(sized(2048, false), "}")+extra+"}")
		e, err := record(req, false, body, nil)
		if err != nil {
			b.Fatal(err)
		}
		c.Store(c.Key(req, cache.Scope{Tenant: "t"}), e, cache.Controls{})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				controls, err := cache.ReadControls(req, nil)
				if err != nil || !c.Uses(req, controls) {
					b.Fatal(err)
				}
				r := c.Ask(context.Background(), c.Key(req, cache.Scope{Tenant: "t"}), controls)
				if r.Status != cache.Hit || len(r.Entry.Body(req)) == 0 {
					b.Fatal("no hit")
				}
			}
		})
	}
}

// BenchmarkRecorder is what recording costs a chunk of a stream.
func BenchmarkRecorder(b *testing.B) {
	req := asking(b, 1, streaming)
	head := `data: {"id":"chatcmpl-123456789","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06",` +
		`"service_tier":"default","system_fingerprint":"fp_44709d6fcb",`
	for name, rest := range map[string]string{
		"text": `"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}`,
		"obfuscation": `"choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null,` +
			`"obfuscation":"%d"}`,
	} {
		b.Run(name, func(b *testing.B) {
			var chunks [2][]byte
			for i := range chunks {
				chunks[i] = []byte(strings.ReplaceAll(head+rest+"\n\n", "%d", fmt.Sprint(i, "abcdefg")))
			}
			r := cache.NewRecorder(req, true, 1<<40)
			b.ReportAllocs()
			b.SetBytes(int64(len(chunks[0])))
			for i := 0; b.Loop(); i++ {
				r.Feed(chunks[i&1])
			}
			if !r.Recording() {
				b.Fatal("not recording")
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	key := plain(b)
	e := sample()
	e.JSON = []byte(`"` + strings.Repeat("x", 4096) + `"`)
	blob := e.Encode(key)
	b.ReportAllocs()
	b.SetBytes(int64(len(blob)))
	for b.Loop() {
		if _, ok := cache.Decode(key, blob); !ok {
			b.Fatal("no entry")
		}
	}
}
