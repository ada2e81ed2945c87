package openai_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

func TestAStreamWithoutUsageIsMeasured(t *testing.T) {
	tests := []struct {
		name, deltas string
		want         chat.Output
	}{
		{"content", `{"role":"assistant","content":""} {"content":"he\"llo"} {"content":" \u65e5"}`, chat.Output{Bytes: 10, Sample: "he\"llo 日"}},
		{"reasoning", `{"reasoning_content":"hm","content":null}`, chat.Output{Bytes: 2, Sample: "hm"}},
		{
			"arguments",
			`{"tool_calls":[{"index":0,"id":"1","function":{"name":"f","arguments":""}}]} {"tool_calls":[{"index":0,` +
				`"function":{"arguments":"{}"}}]}`,
			chat.Output{Bytes: 3, Sample: "f{}"},
		},
		{"nothing", `{"content":null}`, chat.Output{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stream strings.Builder
			for delta := range strings.SplitSeq(tt.deltas, " {") {
				stream.WriteString(`data: {"id":"1","choices":[{"index":0,"delta":{` + strings.TrimPrefix(delta, "{") + "}]}\n\n")
			}
			stream.WriteString(`data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
			_, result := received(t, providerAnswer{"openai", stream.String(), true}, 7)
			if diff := cmp.Diff(tt.want, result.Output); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsageMakesMeasuringNeedless(t *testing.T) {
	stream := `data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}` +
		"\n\ndata: [DONE]\n\n"
	if _, result := received(t, providerAnswer{"openai", stream, true}, len(stream)); result.Output != (chat.Output{}) {
		t.Errorf("output %+v beside a usage", result.Output)
	}
}

func TestABlockingAnswerWithoutUsageIsWeighed(t *testing.T) {
	const answer = `{"id":"1","choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}`
	_, result := received(t, providerAnswer{"openai", answer, false}, 5)
	if diff := cmp.Diff(chat.Output{Bytes: int64(len(answer))}, result.Output); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func BenchmarkRelayedStream(b *testing.B) {
	chunk := `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,` +
		`"delta":{"content":" word"},"finish_reason":null}]}` + "\n\n"
	stream := strings.Repeat(chunk, 500) + `data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` +
		"\n\ndata: [DONE]\n\n"
	for _, provider := range []string{"openai", "groq"} {
		b.Run(provider, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				received(b, providerAnswer{provider, stream, true}, len(chunk))
			}
		})
	}
}

func BenchmarkQuirkyRequest(b *testing.B) {
	body := `{"model":"a","messages":[{"role":"user","content":"` + strings.Repeat("word ", 6000) +
		`"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},` +
		`{"role":"tool","tool_call_id":"call_1","content":"1"}],"max_completion_tokens":5,"seed":1}`
	for _, provider := range []string{"openai", "mistral"} {
		b.Run(provider, func(b *testing.B) {
			tr, req := translator(b, provider), request(b, body)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tr.Request(req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
