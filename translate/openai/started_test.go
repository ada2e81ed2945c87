package openai_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestAStreamStartsWithItsFirstContent(t *testing.T) {
	delta := func(members string) string {
		return stream(chunk(`"delta":{` + members + `},"finish_reason":null,"logprobs":null`))
	}
	openings := []string{
		": OPENROUTER PROCESSING\n\n", "event: ping\n\n", "retry: 100\n\n",
		delta(`"role":"assistant"`), delta(`"role":"assistant","content":"","refusal":null,"tool_calls":[],"audio":null`),
		delta(`"role":"assistant","name":"M","content":"","reasoning":null,"reasoning_details":[],"reasoning_content":""`),
		stream(`{"id":"c1","choices":[{"index":0,"text":"","finish_reason":""}],"obfuscation":"x"}`), stream(counts),
		stream(`{"id":"c1","choices":[{"index":0,"delta":{"content":""}}],"usage":{"prompt_tokens":5,"completion_tokens":0,"total_tokens":5},` +
			`"x_groq":{"id":"r"}}`),
	}
	carriers := []string{
		delta(`"content":"a"`), delta(`"reasoning_content":"a"`), delta(`"reasoning":"a"`), delta(`"reasoning_details":[{"data":"x"}]`),
		delta(`"refusal":"a"`), delta(`"audio":{"id":"a"}`), delta(`"tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":""}}]`),
		delta(`"function_call":{"name":"f","arguments":""}`), delta(`"images":[{}]`), stream(chunk(`"text":"a"`)),
		stream(chunk(`"delta":{},"finish_reason":"stop"`)),
		stream(`{"id":"c1","choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"a"}}]}`),
	}
	for _, provider := range []string{"openai", "mistral", "openrouter", "xai", "groq", "deepseek", "hosted_vllm"} {
		s := suite
		s.Provider = provider
		translatetest.Starts(t, s, translatetest.Opening{ContentType: eventStream, Silent: openings, Carriers: carriers})
	}
	mistral := suite
	mistral.Provider = "mistral"
	translatetest.Starts(t, mistral, translatetest.Opening{
		ContentType: eventStream, Silent: []string{delta(`"role":"assistant","content":[]`)},
		Carriers: []string{delta(`"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]`)},
	})
	translatetest.Starts(t, suite, translatetest.Opening{
		Endpoint: chat.TextCompletions, ContentType: eventStream, Silent: openings, Carriers: carriers,
	})
	for _, failure := range []string{`{"error":{"message":"overloaded","code":502}}`, `{"object":"error","message":"no"}`} {
		translatetest.Starts(t, suite, translatetest.Opening{ContentType: eventStream, Silent: append(openings[:9:9], stream(failure))})
	}
}

func TestAResponseStartsWithItsFirstContent(t *testing.T) {
	item := func(item string) string {
		return stream(`{"type":"response.output_item.added","output_index":0,"item":` + item + `}`)
	}
	opening := []string{
		": keep-alive\n\n",
		stream(`{"type":"response.created","response":{"id":"r","status":"in_progress","output":[],"instructions":"be brief"}}`),
		stream(`{"response":{"id":"r","status":"queued"},"type":"response.queued"}`), stream(`{"type":"response.in_progress","response":{}}`),
		stream(`{"type":"keepalive","sequence_number":3}`),
		item(`{"id":"rs","type":"reasoning","summary":[],"encrypted_content":""}`),
		item(`{"id":"m","type":"message","status":"in_progress","content":[],"role":"assistant"}`),
		stream(`{"type":"response.content_part.added","part":{"type":"output_text","text":"","annotations":[]}}`),
		stream(`{"type":"response.reasoning_summary_part.added","part":{"type":"summary_text","text":""}}`),
		stream(`{"type":"response.output_text.delta","delta":""}`),
	}
	translatetest.Starts(t, suite, translatetest.Opening{
		Endpoint: chat.Responses, ContentType: eventStream, Silent: opening,
		Carriers: []string{
			stream(`{"type":"response.output_text.delta","delta":"a"}`), stream(`{"delta":"{","type":"response.function_call_arguments.delta"}`),
			stream(`{"type":"response.reasoning_summary_text.delta","delta":"a"}`), stream(`{"type":"response.refusal.delta","delta":"a"}`),
			stream(`{"type":"response.content_part.added","part":{"type":"output_text","text":"a"}}`),
			item(`{"type":"function_call","id":"f","name":"f","arguments":""}`), item(`{"type":"web_search_call","id":"w"}`),
			item(`{"type":"reasoning","encrypted_content":"x","summary":[]}`), stream(`{"type":"response.output_item.done","item":{}}`),
			stream(`{"type":"response.completed","response":{"status":"completed"}}`),
			stream(`{"type":"response.incomplete","response":{"status":"incomplete"}}`),
		},
	})
	for _, failure := range []string{
		`{"type":"error","code":"server_error","message":"no"}`,
		`{"type":"response.failed","response":{"error":{"code":"server_error","message":"no"}}}`,
	} {
		translatetest.Starts(t, suite, translatetest.Opening{
			Endpoint: chat.Responses, ContentType: eventStream, Silent: append(opening[:len(opening):len(opening)], stream(failure)),
		})
	}
}

func TestABlockingAnswerStartsAtItsEnd(t *testing.T) {
	for provider, quirky := range map[string]bool{"openai": false, "mistral": true} {
		s := suite
		s.Provider = provider
		for _, test := range []struct {
			answer  string
			started bool
		}{
			{`{"id":"c1","object":"chat.completion","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`, true},
			{`{"error":{"message":"no","code":500}}`, false}, {`{"object":"error","message":"no"}`, false}, {``, false},
		} {
			d := s.Bind(t, upstream.Target{}).Decoder(translatetest.Request(t, chat.Completions, unasked), upstream.Head{Status: 200})
			if d.Feed([]byte(test.answer), false); d.Started() {
				t.Errorf("%s (rewritten: %v): started before the end of %s", provider, quirky, test.answer)
			}
			if d.Feed(nil, true); d.Started() != test.started {
				t.Errorf("%s (rewritten: %v): started is %v at the end of %q", provider, quirky, !test.started, test.answer)
			}
		}
	}
}

func BenchmarkTheStartOfAStreamIsFound(b *testing.B) {
	opening := []byte(stream(chunk(`"delta":{"role":"assistant","content":"","reasoning":null,"reasoning_details":[]},"finish_reason":null`)))
	tr := suite.Bind(b, upstream.Target{})
	req := translatetest.Request(b, chat.Completions, unasked)
	head := upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: eventStream}}}
	d := tr.Decoder(req, head)
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(opening, false)
	}
	if d.Started() {
		b.Fatal("started")
	}
}
