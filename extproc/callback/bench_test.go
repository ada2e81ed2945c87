package callback

import (
	"context"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func BenchmarkAdd(b *testing.B) {
	for name, sink := range map[string]Callback{
		"to a sink that answers": deliverer(func(context.Context, []*Record) error { return nil }),
		"to a sink that hangs":   deliverer(func(ctx context.Context, _ []*Record) error { <-ctx.Done(); return ctx.Err() }),
	} {
		b.Run(name, func(b *testing.B) {
			q := NewQueue(sink, config())
			r := fullRecord()
			Policy{}.Apply(r, Inherit)
			b.ReportAllocs()
			for b.Loop() {
				q.Add(r)
			}
			b.StopTimer()
			ctx, cancel := context.WithCancel(b.Context())
			cancel()
			_ = q.Close(ctx)
		})
	}
}

func BenchmarkApply(b *testing.B) {
	messages := jsontext.Value(`[` + strings.Repeat(`{"role":"user","content":"`+strings.Repeat("lorem ipsum ", 40)+`"},`, 19) +
		`{"role":"user","content":"x"}]`)
	for name, policy := range map[string]Policy{"shown": {}, "redacted": {Redact: true}, "cut": {MaxText: 4 << 10}} {
		b.Run(name, func(b *testing.B) {
			template := fullRecord()
			b.ReportAllocs()
			for b.Loop() {
				r := *template
				r.Messages = messages
				policy.Apply(&r, Inherit)
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	r := fullRecord()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(r); err != nil {
			b.Fatal(err)
		}
	}
}
