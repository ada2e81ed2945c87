package callback

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
)

// TestAClientsCredentialsAreInNoRecord, wherever LiteLLM's clients write them.
func TestAClientsCredentialsAreInNoRecord(t *testing.T) {
	const key = "CANARY-0123456789"
	for _, member := range []string{
		`"api_key":"KEY"`, `"extra_headers":{"authorization":"KEY"}`, `"headers":{"x":"KEY"}`, `"api_base":"https://KEY"`,
		`"base_url":"https://KEY"`,
		`"user_config":{"model_list":[{"litellm_params":{"api_key":"KEY"}}]}`, `"litellm_params":{"x":"KEY"}`, `"model_list":["KEY"]`,
		`"langfuse_host":"KEY"`,
		`"langfuse_secret":"KEY"`, `"webhook_url":"x","azure_ad_token":"KEY"`, `"aws_secret_access_key":"KEY"`, `"vertex_credentials":"KEY"`,
		`"extra_body":{"api_key":"KEY","deep":{"x":[{"Authorization":"KEY"}]}}`, `"metadata":{"user_api_key":"KEY","headers":{"x":"KEY"},"a":1}`,
		`"litellm_metadata":{"x":"KEY"}`, `"proxy_server_request":{"headers":{"x":"KEY"}}`, `"secret_fields":{"x":"KEY"}`,
		`"metadata":{"requester_metadata":{"api-key":"KEY"}}`, `"metadata":{"api\u005fkey":"KEY"}`,
		`"tools":[{"type":"mcp","server_url":"https://mcp.example","headers":{"Authorization":"KEY"},"authorization":"KEY"}]`,
		`"tools":[{"type":"mcp","server_url":"https://mcp.example/s/KEY/sse?api_key=KEY"}]`, `"metadata":{"parameters":{"api_key":"KEY"}}`,
		`"metadata":{"accessToken":"KEY","x":{"bearerToken":"KEY","clientSecret":"KEY","Openai-Api-Key":"KEY","apiKey":"KEY"}}`,
		`"parameters":{"password":"KEY"}`,
		`"clientSecret":"KEY"`, `"accessToken":"KEY"`, `"CLIENT-SECRET":"KEY"`, `"awsSecretAccessKey":"KEY"`, `"extraHeaders":{"x":"KEY"}`,
		`"authorization":"KEY"`, `"password":"KEY"`, `"openai_api_key":"KEY"`, `"x-api-key":"KEY"`, `"github_token":"KEY"`,
	} {
		body := `{"model":"m","messages":[],"temperature":1,` + strings.ReplaceAll(member, "KEY", key) + `}`
		req, err := chat.Parse(chat.Completions, []byte(body), "")
		if err != nil {
			t.Fatalf("%s: %v", member, err)
		}
		in := ReadInput(req)
		if text := string(in.Parameters) + string(in.Metadata); strings.Contains(text, key) || !in.Parameters.IsValid() || in.Metadata != nil &&
			!in.Metadata.IsValid() {
			t.Errorf("%s: %s", member, text)
		}
		if !strings.Contains(string(in.Parameters), `"temperature":1`) {
			t.Errorf("%s: the rest is gone: %s", member, in.Parameters)
		}
	}
}

// TestWhatHoldsNoCredentialStays as it was written.
func TestWhatHoldsNoCredentialStays(t *testing.T) {
	for _, v := range []string{
		`{"a":1.50,"b":[true,null,{"c":"d"}],"tags":["x"],"user_api_key_alias":"team","max_tokens":5}`, `"text"`, `[]`, `{}`, `7`,
	} {
		if got := withoutCredentials(jsontext.Value(v), true); string(got) != v {
			t.Errorf("%s becomes %s", v, got)
		}
	}
	const tools = `[{"type":"function","function":{"name":"login","parameters":{"type":"object",` +
		`"properties":{"password":{"type":"string"},"token":{}}}}}]`
	if got := withoutCredentials(jsontext.Value(tools), true); string(got) != tools {
		t.Errorf("a schema becomes %s", got)
	}
	for v, want := range map[string]string{
		`{"password":1,"a":2}`: `{"a":2}`, `{"a":2,"password":[1,2]}`: `{"a":2}`, `{"password":1}`: `{}`,
		`[{"token":1},[],{"b":{"secret":{}}}]`: `[{},[],{"b":{}}]`,
	} {
		if got := withoutCredentials(jsontext.Value(v), true); string(got) != want {
			t.Errorf("%s becomes %s, want %s", v, got, want)
		}
	}
}
