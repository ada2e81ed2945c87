package secret

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWhatIsKnownIsHiddenHoweverItIsSpelt(t *testing.T) {
	r := NewRedactor(New("sEcRet/key+1&2"), New("Bearer tOken-value-xyz"), New("Basic dXNlcjpwYXNzd29yZC14"), New("sk-1234"), New("none"),
		New(""))
	for text, want := range map[string]string{
		"key sEcRet/key+1&2 is wrong":           "key [secret] is wrong",
		"url ?k=sEcRet%2Fkey%2B1%262":           "url ?k=[secret]",
		`json "sEcRet\/key+1&2"`:                `json "[secret]"`,
		`json "sEcRet/key+1\u00262"`:            `json "[secret]"`,
		"Authorization: Bearer tOken-value-xyz": "Authorization: [secret]",
		"token tOken-value-xyz alone":           "token [secret] alone",
		"the password is password-x":            "the password is [secret]",
		"sk-1234 is LiteLLM's example":          "[secret] is LiteLLM's example",
		"none of it":                            "none of it",
	} {
		if got := r.Redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWhatLooksLikeAKeyIsHidden(t *testing.T) {
	r := NewRedactor()
	for text, want := range map[string]string{
		"Incorrect API key provided: sk-PROVIDERKEY. You can find":                "Incorrect API key provided: [secret]. You can find",
		"Incorrect API key provided: 9f8e7d6c5b4a. See":                           "Incorrect API key provided: [secret]. See",
		"http://internal.host:8080/x?key=AIzaSyA-1234567890abcdefghijklm&alt=sse": "http://internal.host:8080/x?key=[secret]&alt=sse",
		"POST /x?a=1&token=abc HTTP/1.1":                                          "POST /x?a=1&token=[secret] HTTP/1.1",
		"/v1?api_key=x":                                                           "/v1?api_key=[secret]",
		"AIzaSyA-1234567890abcdefghijklm":                                         "[secret]",
		"authorization: bearer abcdefgh12345678":                                  "authorization: bearer [secret]",
		"Bearer 0123456789abcdef is invalid":                                      "Bearer [secret] is invalid",
		"Authorization: Basic dXNlcjpwYXNz0000":                                   "Authorization: Basic [secret]",
		`{"x-api-key":"0123456789abcdef"}`:                                        `{"x-api-key":"[secret]"}`,
		`{\"X-Api-Key\": \"0123456789abcdef\"}`:                                   `{\"X-Api-Key\": \"[secret]\"}`,
		"x-api-key: 0123456789abcdef, x":                                          "x-api-key: [secret], x",
		"password = 'hunter2!9'":                                                  "password = '[secret]'",
		"ghp_0123456789abcdefABCDEF hf_abcdefghijklmnopqrst":                      "[secret] [secret]",
		"xoxb-123456789012-abcdef and AKIAIOSFODNN7EXAMPLE":                       "[secret] and [secret]",
		"aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY":          "aws_secret_access_key=[secret]",
		"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def_ghi!":                   "jwt [secret]!",
		"redis://:hunter2@cache:6379/0 and https://user:pw@host/path?x=1": "redis://[secret]@cache:6379/0 and " +
			"https://[secret]@host/path?x=1",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x":  "[secret]-----END PRIVATE KEY----- x",
		"key (sk-ant-api03-abcdefgh) \"sk-or-v1-0123456789\"":             "key ([secret]) \"[secret]\"",
		"Invalid API key: 0123456789abcdef, see":                          "Invalid API key: [secret], see",
		"your api key '9f8e7d6c5b4a3210' has expired":                     "your api key '[secret]' has expired",
		"env OPENAI_API_KEY=abcdef0123456789 LITELLM_MASTER_KEY=abcd1234": "env OPENAI_API_KEY=[secret] LITELLM_MASTER_KEY=[secret]",
		"Authorization: Token abcdef0123456789":                           "Authorization: Token [secret]",
		"token=abcdef0123456789 pcsk_abcdefghij0123456789":                "token=[secret] [secret]",
		"größe sk-abcdefgh12 größe":                                       "größe [secret] größe",
	} {
		got := r.Redact(text)
		if got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
		if again := r.Redact(got); again != got {
			t.Errorf("%q becomes %q when it is redacted again", got, again)
		}
	}
}

// TestWhatPeopleReadStays: an error that says nothing any more helps nobody.
func TestWhatPeopleReadStays(t *testing.T) {
	r := NewRedactor()
	for _, text := range []string{
		"This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens (max_tokens: 4096).",
		"Incorrect API key provided: sk-abc***************wxyz. You can find your API key at https://platform.openai.com/account/api-keys.",
		"Basic authentication required", "Bearer token required", "a bearer of bad news, basically", "invalid token: unexpected end",
		"Unknown parameter: 'messages[0].token'. Did you mean key: value?", "task-management-system risk-averse disk-usage",
		"The model `gpt-4o-2024-08-06` does not exist", "request id req_011CSHoEeqs5C35K2UUqR7Fy", "api_key: field required",
		"password must be set", "Request ID: 8f7c1e9a-1234-4a5b-9c3d-0123456789ab", "see https://docs.example/errors?page=2",
		"key: messages.0.content",
		"password: must_be_at_least_8_characters", "secret: tenant-1 was not found", "authorization: header_is_missing_from_request",
		"the bearer authentication-scheme is unsupported", "the model xai-grok-2-latest-model is unknown",
		"access_token: string_required_but_got_number",
		"set your API key: https://platform.example.com/account/api-keys1", "the API key is not set", "token: 12345 exceeds",
		"an access key of another region",
		"toolu_01A09q90qw90lq917835lq9 call_abc123DEF456 chatcmpl-9abc123DEF456ghi789JKL fp_44709d6fcb org-AbCdEf1234567890",
		"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ", "postgres://localhost:5432/db", "file-abc123DEF456 is no image",
		"secret sauce", "Rate limit reached for organization org-abc on tokens per min (TPM): Limit 30000, Used 29000",
	} {
		if got := r.Redact(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestEverySecretOfAValueIsFound(t *testing.T) {
	type inner struct {
		Key  Text
		Many map[string]Text
		URL  string
	}
	value := struct {
		A    *inner
		List []inner
		Any  any
		Not  string
		hide Text
	}{
		A: &inner{Key: New("one"), URL: "redis://:three@host/0"}, List: []inner{{Many: map[string]Text{"x": New("two")}}},
		Any: inner{URL: "https://h/p?key=four"},
		Not: "plain", hide: New("unexported"),
	}
	var got []string
	for _, s := range All(value) {
		got = append(got, s.Reveal())
	}
	if strings.Join(got, " ") != "one three two four" {
		t.Errorf("found %q", got)
	}
	_ = value.hide
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"?key=", "Bearer x", "sk-aaaaaaaaaaa", "://a:b@", "-----BEGIN PRIVATE KEY-----", "api_key:\"\\", "größe"} {
		f.Add(s)
	}
	r := NewRedactor(New("known-secret-1"))
	f.Fuzz(func(t *testing.T, s string) {
		got := r.Redact(s)
		if utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q, which is no text", s, got)
		}
		if strings.Contains(got, "known-secret-1") {
			t.Fatalf("%q keeps the secret: %q", s, got)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	var known []Text
	for i := range 100 {
		known = append(known, New(strings.Repeat("k", 20)+string(rune('a'+i%26))+strings.Repeat("x", i)))
	}
	r := NewRedactor(known...)
	for name, text := range map[string]string{
		"message": "Incorrect API key provided: sk-PROVIDERKEY. You can find your API key at https://platform.openai.com/account/api-keys.",
		"16KiB":   strings.Repeat("This model's maximum context length is 128000 tokens. ", 300),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				r.Redact(text)
			}
		})
	}
}
