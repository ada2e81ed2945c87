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
		Headers: []upstream.ExtraHeader{{Name: "Authorization", Value: secret.New("Bearer token-0123")}, {Name: "X-Stage", Value: secret.New("one")}},
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
