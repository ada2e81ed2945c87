package translate_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"

	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// secretNames are LiteLLM's credentials and prices.
func secretNames(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("litellm/testdata/names.txt")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, section := range []string{"[credentials]\n", "[prices]\n"} {
		_, rest, _ := strings.Cut(string(text), section)
		part, _, _ := strings.Cut(rest, "\n\n")
		names = append(names, strings.Fields(part)...)
	}
	if len(names) < 250 {
		t.Fatalf("%d names", len(names))
	}
	return names
}

// canary is the value of what no provider may see.
const canary = `"canary-0123456789"`

// bodiesOf are the bodies that every provider gets for a request, and the errors it
// gets instead.
func bodiesOf(t *testing.T, endpoint chat.Endpoint, body string, defaults ...upstream.Param) map[string]string {
	t.Helper()
	req, err := chat.Parse(endpoint, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range translate.Providers() {
		b, err := translate.Bind(&upstream.Target{Provider: p.Name, Model: "m", BaseURL: "http://localhost/v1", Defaults: defaults})
		if err != nil {
			t.Fatal(err)
		}
		if !b.Supports(endpoint) {
			continue
		}
		call, err := b.Request(req)
		if err != nil {
			t.Errorf("%s refuses %.200s: %v", p.Name, body, err)
			continue
		}
		out[p.Name] = string(call.Text())
	}
	return out
}

// TestNoCredentialAndNoPriceOfLiteLLMReachesAProvider says each name in every place
// where a body or a deployment can say it.
func TestNoCredentialAndNoPriceOfLiteLLMReachesAProvider(t *testing.T) {
	var members []string
	var defaults []upstream.Param
	for _, name := range secretNames(t) {
		members = append(members, fmt.Sprintf("%q: %s", name, canary))
		defaults = append(defaults, upstream.Param{Name: name, Value: jsontext.Value(canary)})
	}
	all := strings.Join(members, ", ")
	extra := upstream.Param{Name: "extra_body", Value: jsontext.Value("{" + all + "}")}
	const message, input = `{"model": "m", "messages": [{"role": "user", "content": "hi"}]`, `{"model": "m", "input": "hi"`
	for name, tc := range map[string]struct {
		endpoint chat.Endpoint
		body     string
		defaults []upstream.Param
	}{
		"beside the messages":                  {chat.Completions, message + ", " + all + "}", nil},
		"in extra_body":                        {chat.Completions, message + `, "extra_body": {` + all + "}}", nil},
		"beside the input of embeddings":       {chat.Embeddings, input + ", " + all + "}", nil},
		"in the extra_body of embeddings":      {chat.Embeddings, input + `, "extra_body": {` + all + "}}", nil},
		"beside the prompt":                    {chat.TextCompletions, `{"model": "m", "prompt": "hi", ` + all + "}", nil},
		"beside the input of responses":        {chat.Responses, input + ", " + all + "}", nil},
		"as defaults of the deployment":        {chat.Completions, message + "}", defaults},
		"in the deployment's extra_body":       {chat.Completions, message + "}", []upstream.Param{extra}},
		"as defaults of embeddings":            {chat.Embeddings, input + "}", defaults},
		"in the extra_body of both":            {chat.Completions, message + `, "extra_body": {` + all + "}}", []upstream.Param{extra}},
		"in the extra_body for all embeddings": {chat.Embeddings, input + "}", []upstream.Param{extra}},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := bodiesOf(t, tc.endpoint, tc.body, tc.defaults...)
			if len(bodies) < 15 {
				t.Errorf("only %d providers", len(bodies))
			}
			for provider, body := range bodies {
				if strings.Contains(body, "canary") {
					t.Errorf("%s gets %.300s", provider, body)
				}
			}
		})
	}
}

func TestNoCredentialReachesAProviderInsideItsOwnObjects(t *testing.T) {
	for provider, member := range map[string]string{"gemini": "generationConfig", "ollama": "options"} {
		body := `{"model": "m", "messages": [{"role": "user", "content": "hi"}], "` + member + `": {"api_key": ` + canary +
			`, "temperature": 0.25}}`
		req, err := chat.Parse(chat.Completions, []byte(body), "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := translate.Bind(&upstream.Target{Provider: provider, Model: "m", BaseURL: "http://localhost"})
		if err != nil {
			t.Fatal(err)
		}
		call, err := b.Request(req)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(call.Text()); strings.Contains(got, "canary") || !strings.Contains(got, "0.25") {
			t.Errorf("%s gets %s", provider, got)
		}
	}
}

func TestWhatIsNobodysOwnGoesToTheServersThatTakeIt(t *testing.T) {
	const body = `{"model": "m", "messages": [], "chat_template_kwargs": {"thinking": true}, "extra_body": {"prompt_logprobs": 1}, ` +
		`"metadata": {"api_key": "mine"}}`
	got := bodiesOf(t, chat.Completions,
		strings.Replace(body, `"chat_template_kwargs": {"thinking": true}, "extra_body": {"prompt_logprobs": 1}, `, "", 1))["openai"]
	if !strings.Contains(got, `"metadata": {"api_key": "mine"}`) {
		t.Errorf("metadata is the user's own: %s", got)
	}
	req, err := chat.Parse(chat.Completions, []byte(body), "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := translate.Bind(&upstream.Target{Provider: "hosted_vllm", Model: "m", BaseURL: "http://localhost"})
	if err != nil {
		t.Fatal(err)
	}
	call, err := b.Request(req)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"chat_template_kwargs", "prompt_logprobs"} {
		if !strings.Contains(string(call.Text()), want) {
			t.Errorf("no %s in %s", want, call.Text())
		}
	}
}

func TestARequestThatAsksForARestrictionIsRefused(t *testing.T) {
	const message = `{"model": "m", "messages": []`
	for member, param := range map[string]string{
		`"guardrails": ["pii"]`:                         "guardrails",
		`"guardrails": "pii"`:                           "guardrails",
		`"guardrail_config": {"language": "en"}`:        "guardrail_config",
		`"policies": ["strict"]`:                        "policies",
		`"allowed_model_region": "eu"`:                  "allowed_model_region",
		`"metadata": {"guardrails": ["pii"]}`:           "metadata",
		`"litellm_metadata": {"guardrails": ["pii"]}`:   "litellm_metadata",
		`"extra_body": {"guardrails": ["pii"]}`:         "extra_body",
		`"guardrails": []`:                              "",
		`"guardrails": {}`:                              "",
		`"guardrails": null`:                            "",
		`"guardrails": false`:                           "",
		`"policies": [ ]`:                               "",
		`"metadata": {"guardrails": []}`:                "",
		`"metadata": {"metadata": {"guardrails": [1]}}`: "",
		`"mock_response": "hi", "no-log": true`:         "",
	} {
		_, err := chat.Parse(chat.Completions, []byte(message+", "+member+"}"), "")
		refused, _ := errors.AsType[*upstream.Error](err)
		switch {
		case param == "" && err != nil:
			t.Errorf("%s: %v", member, err)
		case param != "" && (refused == nil || refused.Status != http.StatusBadRequest || refused.Param != param):
			t.Errorf("%s: %v", member, err)
		}
	}
}
