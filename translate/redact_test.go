package translate_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Secrets of a configuration: this deployment's, another's, the gateway's own; and a
// key that nobody here knows.
const (
	ownKey    = "own-0123456789/x"
	otherKey  = "other-0123456789"
	masterKey = "master-0123456789"
	foreign   = "sk-foreign-0123456789"
)

func everySecret() []string {
	return []string{ownKey, `own-0123456789\/x`, `\u006fwn-0123456789/x`, otherKey, masterKey, foreign}
}

func bindKnowing(t *testing.T, provider string) *translate.Bound {
	t.Helper()
	b, err := translate.Bind(&upstream.Target{
		Provider: provider, Model: "m", BaseURL: "http://localhost/v1", APIKey: secret.New(ownKey),
		Redactor: secret.NewRedactor(secret.New(ownKey), secret.New(otherKey), secret.New(masterKey)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// clean fails the test for a text that has a digit of a secret in it.
func clean(t *testing.T, where, text string) {
	t.Helper()
	if strings.Contains(text, "012345") {
		t.Errorf("%s: %s", where, text)
	}
}

// TestNoMemberAndNoFieldOfAnErrorQuotesASecret, whichever shape it has.
func TestNoMemberAndNoFieldOfAnErrorQuotesASecret(t *testing.T) {
	shapes := []string{
		`{"error":{"message":"M KEY","type":"T KEY","code":"C KEY","param":"P KEY"}}`,
		`{"error":"KEY"}`, `{"detail":[{"msg":"KEY","input":{"api_key":"KEY"}}]}`, `{"statusCode":401,"message":"KEY"}`,
		`{"object":"error","message":"KEY","type":"KEY","code":"KEY","param":"KEY"}`,
		`[{"error":{"code":400,"status":"KEY","message":"KEY","details":[{"reason":"KEY","retryDelay":"KEY"}]}}]`,
		`{"type":"error","error":{"type":"KEY","message":"KEY"}}`, `plain KEY text`, `{"broken":"KEY`,
		`{"error":{"message":"{\"error\":{\"message\":\"KEY\"}}"}}`,
		strings.Repeat("x", 16<<10-12) + "KEY", // where the text is cut
	}
	for _, provider := range []string{"openai", "azure", "anthropic", "gemini", "ollama", "mistral"} {
		b := bindKnowing(t, provider)
		for _, shape := range shapes {
			for _, key := range everySecret() {
				head := upstream.Head{Status: 401, Header: upstream.Header{
					{Name: "retry-after", Value: key}, {Name: "x-ratelimit-limit-requests", Value: key},
					{Name: "anthropic-ratelimit-tokens-limit", Value: key},
					{Name: "x-ratelimit-remaining-requests", Value: "7"}, {Name: "x-should-retry", Value: key},
				}}
				if strings.Contains(key, `\`) {
					if head.Header = head.Header[3:4]; !strings.HasPrefix(shape, `{"e`) || strings.Contains(shape, `\"`) {
						continue // an escape of JSON's means nothing there
					}
				}
				e := b.Failure(head, []byte(strings.ReplaceAll(shape, "KEY", key)))
				clean(t, provider, string(e.JSON())+e.Error())
				for _, f := range e.Header {
					clean(t, provider+" "+f.Name, f.Value)
				}
				if e.Header.Get("x-ratelimit-remaining-requests") != "7" {
					t.Errorf("%s: a field without a secret is gone: %v", provider, e.Header)
				}
			}
		}
	}
}

// TestNoErrorEventQuotesASecret in the bytes that the client gets or in what is told of it.
func TestNoErrorEventQuotesASecret(t *testing.T) {
	for name, tc := range map[string]struct {
		provider string
		endpoint chat.Endpoint
		stream   string
	}{
		"chat": {
			"openai", chat.Completions,
			"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"error\":{\"message\":\"KEY\",\"type\":\"KEY\",\"code\":\"KEY\"," +
				"\"param\":\"KEY\"}}\n\n",
		},
		"old vLLM": {"openai", chat.Completions, "data: {\"object\":\"error\",\"message\":\"KEY\",\"type\":\"KEY\"}\n\n"},
		"Azure":    {"azure", chat.Completions, "data: {\"error\":{\"message\":\"KEY\",\"innererror\":{\"x\":\"KEY\"}}}\n\n"},
		"Responses, failed": {
			"openai", chat.Responses,
			"event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"KEY\",\"message\":\"KEY\"}," +
				"\"id\":\"r\"}}\n\n",
		},
		"Responses, error": {
			"openai", chat.Responses, "event: error\ndata: {\"type\":\"error\",\"code\":\"KEY\",\"message\":\"KEY\",\"param\":null}\n\n",
		},
		"Anthropic": {
			"anthropic", chat.Completions, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"KEY\",\"message\":\"KEY\"}}\n\n",
		},
		"Gemini":              {"gemini", chat.Completions, "data: {\"error\":{\"code\":500,\"status\":\"KEY\",\"message\":\"KEY\"}}\n\n"},
		"Ollama":              {"ollama", chat.Completions, "{\"error\":\"KEY\"}\n"},
		"no JSON in an error": {"openai", chat.Completions, "data: {\"error\": KEY\n\n"},
		"FastAPI":             {"openai", chat.Completions, "data: {\"detail\":[{\"msg\":\"KEY\",\"input\":\"KEY\"}]}\n\n"},
		"a message, a code":   {"mistral", chat.TextCompletions, "event: failed\ndata: {\"message\":\"KEY\",\"code\":\"KEY\"}\n\n"},
		"a list":              {"openai", chat.Completions, "data: [{\"message\":\"KEY\"}]\r\n\r\n"},
		"carriage returns": {
			"openai", chat.Completions, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\rdata: {\"detail\":\"KEY\"}\r\r",
		},
		"plain text": {"openai", chat.Completions, "event: error\ndata: no such key KEY\n\n"},
		"a comment":  {"azure", chat.Completions, ": forwarded with KEY\n\n"},
		"where text is cut": {
			"openai", chat.Completions, "data: {\"error\":{\"message\":\"" + strings.Repeat("word ", (16<<10)/5-2) + "KEY\"}}\n\n",
		},
		"Anthropic, cut": {
			"anthropic", chat.Completions,
			"event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"" + strings.Repeat("word ", (16<<10)/5-2) + "KEY\"}}\n\n",
		},
	} {
		for _, key := range everySecret() {
			if strings.Contains(key, `\`) && (name == "plain text" || name == "a comment" || strings.HasPrefix(name, "no JSON")) {
				continue // an escape of JSON's means nothing there
			}
			b := bindKnowing(t, tc.provider)
			req := &chat.Request{Endpoint: tc.endpoint, Stream: true}
			d := b.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "text/event-stream"}}})
			var out []byte
			for piece := range strings.SplitAfterSeq(strings.ReplaceAll(tc.stream, "KEY", key), "\n\n") {
				out = append(out, d.Feed([]byte(piece), false)...)
			}
			out = append(out, d.Feed(nil, true)...)
			if e := d.Result().Failure; e == nil {
				t.Errorf("%s: no failure", name)
			} else {
				clean(t, name, e.Error()+e.Code+e.Param)
			}
			clean(t, name, string(out))
			for begin := range 8 { // of a key that is cut
				if strings.Contains(string(out), "word "+key[:8-begin]) && strings.Contains(name, "cut") {
					t.Errorf("%s: half of %s is there", name, key)
				}
			}
		}
	}
}

// TestAnErrorWithoutALengthIsHeldAndCleaned: its status is 200 and it comes in
// pieces; what is no error goes on at once.
func TestAnErrorWithoutALengthIsHeldAndCleaned(t *testing.T) {
	b := bindKnowing(t, "openai")
	feed := func(text string, size int) (out string, held bool) {
		d := b.Decoder(&chat.Request{Endpoint: chat.Completions},
			upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "application/json"}}})
		for i := 0; i < len(text); i += size {
			piece := d.Feed([]byte(text[i:min(i+size, len(text))]), i+size >= len(text))
			held = held || len(piece) == 0
			out += string(piece)
		}
		return out, held
	}
	for _, size := range []int{7, 40, 1 << 20} {
		for _, key := range everySecret() {
			got, _ := feed(strings.ReplaceAll(` { "error": {"message":"KEY","more":{"KEY":["KEY"]}}}`, "KEY", key), size)
			clean(t, "held", got)
			if !strings.Contains(got, `[secret]`) {
				t.Errorf("pieces of %d: %s", size, got)
			}
		}
	}
	for _, shape := range []string{`{"detail":"KEY"}`, `{"code":401,"message":"KEY"}`, `[{"error":{"message":"KEY"}}]`, `no JSON but KEY`} {
		for _, size := range []int{7, 1 << 20} {
			got, _ := feed(strings.ReplaceAll(shape, "KEY", otherKey), size)
			if clean(t, shape, got); !strings.Contains(got, `[secret]`) {
				t.Errorf("%s in pieces of %d: %s", shape, size, got)
			}
		}
	}
	if got, _ := feed(`{"error":{"message":"other-0123456789`, 7); strings.Contains(got, "012345") {
		t.Errorf("one that breaks off: %s", got)
	}
	const good = `{"id":"x","choices":[{"message":{"content":"other-0123456789 error"}}]}`
	if got, held := feed(good, 16); got != good || held {
		t.Errorf("a good answer: held %v, %s", held, got)
	}
	const odd = `{"error":null,"id":"x","choices":[{"message":{"content":"other-0123456789"}}]}`
	if got, _ := feed(odd, 16); got != odd {
		t.Errorf("a good answer that begins like an error: %s", got)
	}
	long := `{"error":null,"id":"` + strings.Repeat("x", 1<<17) + `"}`
	if got, _ := feed(long, 4096); got != long {
		t.Error("a long answer that begins like an error is changed")
	}
}
