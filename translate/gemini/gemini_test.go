package gemini_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/gemini"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const base = "https://generativelanguage.googleapis.com/v1beta"

// body returns the body that a chat request becomes.
func body(t testing.TB, target upstream.Target, request string) string {
	t.Helper()
	return translatetest.Canonical(t, suite.Call(t, target, chat.Completions, request).Body)
}

func TestNewWorksOutTheCall(t *testing.T) {
	tests := map[string]struct {
		target upstream.Target
		path   string
	}{
		"a plain model":                         {upstream.Target{}, "/v1beta/models/gemini-2.5-flash:generateContent"},
		"a tuned model keeps its resource name": {upstream.Target{Model: "tunedModels/t-1"}, "/v1beta/tunedModels/t-1:generateContent"},
		"a model name cannot leave the path":    {upstream.Target{Model: "a?b#c"}, "/v1beta/models/a%3Fb%23c:generateContent"},
		"a custom base has its own version": {
			upstream.Target{BaseURL: "http://proxy:1/g/v1"}, "/g/v1/models/gemini-2.5-flash:generateContent",
		},
		"Google's host alone gets the API version": {
			upstream.Target{BaseURL: "https://generativelanguage.googleapis.com"}, "/v1beta/models/gemini-2.5-flash:generateContent",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.target.APIKey = secret.New("AIza")
			test.target.Headers = []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("a")}}
			call, err := suite.Bind(t, test.target).Request(translatetest.Request(t, chat.Completions,
				`{"messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := upstream.Call{Method: "POST", Path: test.path, Body: []byte(`{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`),
				Header: upstream.Header{
					{Name: "content-type", Value: "application/json"}, {Name: "x-goog-api-key", Value: "AIza"}, {Name: "x-team", Value: "a"},
				}}
			if diff := cmp.Diff(want, *call); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRefusesADeploymentWithoutHostOrModel(t *testing.T) {
	for _, target := range []upstream.Target{{BaseURL: "nowhere", Model: "m"}, {BaseURL: base}} {
		if _, err := gemini.New(&target); err == nil {
			t.Errorf("New(%+v): no error", target)
		}
	}
}

// answer decodes a provider's answer and blanks out what is made up.
func answer(t testing.TB, request, answer string) (string, chat.Result) {
	t.Helper()
	req := translatetest.Request(t, chat.Completions, request)
	return translatetest.Feed(t, suite.Bind(t, upstream.Target{}).Decoder(req, upstream.Head{Status: 200}), answer)
}
