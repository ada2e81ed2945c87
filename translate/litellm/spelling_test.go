package litellm

import "testing"

func TestANameIsSpeltAsLiteLLMWould(t *testing.T) {
	for name, want := range map[string]string{
		"client_secret": "client_secret", "clientSecret": "client_secret", "CLIENT-SECRET": "client_secret", "Client Secret": "client_secret",
		"s3Bucket": "s3_bucket", "APIKey": "apikey", "größe-Ä": "größe_Ä", "": "",
	} {
		if got := Spelling(name); got != want {
			t.Errorf("%q is spelt %q, want %q", name, got, want)
		}
	}
}
