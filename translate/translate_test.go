package translate_test

import (
	"strings"
	"testing"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestSecretsThatAServerQuotesAreTakenOutOfItsError(t *testing.T) {
	b, err := translate.Bind(&upstream.Target{
		Provider: "openai", Model: "m", BaseURL: "http://localhost/v1", APIKey: secret.New("sk-0123456789"),
		Headers: []upstream.ExtraHeader{
			{Name: "Authorization", Value: secret.New("Bearer token-0123")}, {Name: "X-Stage", Value: secret.New("one")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for quoted, want := range map[string]string{
		"the key sk-0123456789 is wrong": "the key [secret] is wrong",
		"sk-0123456789, sk-0123456789":   "[secret], [secret]",
		"got: Bearer token-0123":         "got: [secret]",
		"token-0123 has expired":         "[secret] has expired",
		"someone has gone":               "someone has gone", // too short to be a secret
		"the key sk-0**89 is wrong":      "the key sk-0**89 is wrong",
	} {
		e := b.Failure(upstream.Head{Status: 401}, []byte(`{"error":{"message":"`+quoted+`"}}`))
		if e.Message != want || strings.Contains(string(e.JSON()), "0123") {
			t.Errorf("%q became %q, want %q", quoted, e.Message, want)
		}
	}
}

// streamedErrors are errors inside an answer of status 200, as each provider says
// them; KEY is what it quotes.
var streamedErrors = []struct {
	provider, kind, stream, blocking string
}{
	{"openai", "text/event-stream", "data: {\"choices\":[]}\n\ndata: {\"error\":{\"message\":\"KEY is spent\"}}\n\ndata: [DONE]\n\n", ""},
	{
		"anthropic", "text/event-stream",
		"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"KEY is spent\"}}\n\n",
		`{"type":"error","error":{"message":"KEY is spent"}}`,
	},
	{
		"gemini", "text/event-stream", "data: {\"error\":{\"code\":500,\"message\":\"KEY is spent\"}}\n\n",
		`{"error":{"code":500,"message":"KEY is spent"}}`,
	},
	{"ollama", "application/x-ndjson", "{\"error\":\"KEY is spent\"}\n", `{"error":"KEY is spent"}`},
}

func TestSecretsAreTakenOutOfErrorsInsideAnAnswerToo(t *testing.T) {
	const key = `sk-"0123456789`
	quote := strings.NewReplacer("KEY", `sk-\"0123456789`)
	for _, p := range streamedErrors {
		b, err := translate.Bind(&upstream.Target{Provider: p.provider, Model: "m", BaseURL: "http://localhost", APIKey: secret.New(key)})
		if err != nil {
			t.Fatal(err)
		}
		for stream, answer := range map[string]string{"true": p.stream, "false": p.blocking} {
			if answer == "" {
				continue // it is relayed as it comes
			}
			req, err := chat.Parse(chat.Completions, []byte(`{"model":"m","messages":[],"stream":`+stream+`}`), "")
			if err != nil {
				t.Fatal(err)
			}
			d := b.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: p.kind}}})
			out := string(d.Feed([]byte(quote.Replace(answer)), true))
			if e := d.Result().Failure; e == nil || e.Message != "[secret] is spent" {
				t.Errorf("%s, stream %s: failure %v", p.provider, stream, e)
			}
			if strings.Contains(out, "0123") || stream == "true" && !strings.Contains(out, "[secret] is spent") {
				t.Errorf("%s, stream %s: the client gets %s", p.provider, stream, out)
			}
		}
	}
}

func TestAnAnswerThatIsNoErrorMayQuoteAnything(t *testing.T) {
	b, err := translate.Bind(&upstream.Target{
		Provider: "openai",
		Model:    "m",
		BaseURL:  "http://localhost",
		APIKey:   secret.New("sk-0123456789"),
	})
	if err != nil {
		t.Fatal(err)
	}
	req := &chat.Request{Endpoint: chat.Completions, Stream: true}
	chunk := []byte("data: {\"choices\":[{\"delta\":{\"content\":\"sk-0123456789\"}}]}\n\n")
	d := b.Decoder(req, upstream.Head{Status: 200, Header: upstream.Header{{Name: "content-type", Value: "text/event-stream"}}})
	if out := d.Feed(chunk, false); !chat.Untouched(chunk, out) {
		t.Errorf("%s became %s", chunk, out)
	}
}

func TestARequestMayHaveParametersDroppedThatTheDeploymentRefuses(t *testing.T) {
	bound, err := translate.Bind(&upstream.Target{Provider: "anthropic", Model: "claude-sonnet-4-5", BaseURL: "https://api.anthropic.com"})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]bool{
		`{"model":"m","logit_bias":{"1":1},"messages":[{"role":"user","content":"hi"}]}`:                     false,
		`{"model":"m","logit_bias":{"1":1},"drop_params":true,"messages":[{"role":"user","content":"hi"}]}`:  true,
		`{"model":"m","logit_bias":{"1":1},"drop_params":false,"messages":[{"role":"user","content":"hi"}]}`: false,
	} {
		req, err := chat.Parse(chat.Completions, []byte(body), "")
		if err != nil {
			t.Fatal(err)
		}
		call, err := bound.Request(req)
		if (err == nil) != want {
			t.Errorf("%s: %v", body, err)
		}
		if err == nil && (strings.Contains(string(call.Body), "logit_bias") || strings.Contains(string(call.Body), "drop_params")) {
			t.Errorf("the provider gets %s", call.Body)
		}
	}
}
