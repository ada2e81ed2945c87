package gemini_test

import (
	"errors"
	"regexp"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/gemini"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

const base = "https://generativelanguage.googleapis.com/v1beta"

func bind(t testing.TB, target upstream.Target) *gemini.Translator {
	t.Helper()
	target.Provider = "gemini"
	if target.Model == "" {
		target.Model = "gemini-2.5-flash"
	}
	if target.BaseURL == "" {
		target.BaseURL = base
	}
	tr, err := gemini.New(&target)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func parse(t testing.TB, endpoint chat.Endpoint, body string) *chat.Request {
	t.Helper()
	req, err := chat.Parse(endpoint, []byte(body), "alias")
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// canonical spells JSON so that equal values are equal texts.
func canonical(t testing.TB, text []byte) string {
	t.Helper()
	v := jsontext.Value(text).Clone()
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%s in %s", err, text)
	}
	return string(v)
}

// body returns the body that a chat request becomes.
func body(t testing.TB, target upstream.Target, request string) string {
	t.Helper()
	call, err := bind(t, target).Request(parse(t, chat.Completions, request))
	if err != nil {
		t.Fatal(err)
	}
	return canonical(t, call.Body)
}

func refusal(t testing.TB, err error) *upstream.Error {
	t.Helper()
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an *upstream.Error, got %v", err)
	}
	return e
}

func TestNewWorksOutTheCall(t *testing.T) {
	tests := map[string]struct {
		target upstream.Target
		path   string
	}{
		"a plain model":                            {upstream.Target{}, "/v1beta/models/gemini-2.5-flash:generateContent"},
		"a tuned model keeps its resource name":    {upstream.Target{Model: "tunedModels/t-1"}, "/v1beta/tunedModels/t-1:generateContent"},
		"a model name cannot leave the path":       {upstream.Target{Model: "a?b#c"}, "/v1beta/models/a%3Fb%23c:generateContent"},
		"a custom base has its own version":        {upstream.Target{BaseURL: "http://proxy:1/g/v1"}, "/g/v1/models/gemini-2.5-flash:generateContent"},
		"Google's host alone gets the API version": {upstream.Target{BaseURL: "https://generativelanguage.googleapis.com"}, "/v1beta/models/gemini-2.5-flash:generateContent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.target.APIKey = secret.New("AIza")
			test.target.Headers = []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("a")}}
			call, err := bind(t, test.target).Request(parse(t, chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := upstream.Call{Method: "POST", Path: test.path, Body: []byte(`{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`),
				Header: upstream.Header{{Name: "content-type", Value: "application/json"}, {Name: "x-goog-api-key", Value: "AIza"}, {Name: "x-team", Value: "a"}}}
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

// volatile matches what is made up for each answer.
var volatile = regexp.MustCompile(`(chatcmpl-|cmpl-|call_)[A-Z2-7]{26}|"created":\d+`)

// answer decodes a provider's answer and blanks out what is made up.
func answer(t testing.TB, request, answer string) (string, chat.Result) {
	t.Helper()
	req := parse(t, chat.Completions, request)
	d := bind(t, upstream.Target{}).Decoder(req, upstream.Head{Status: 200})
	out := d.Feed([]byte(answer), true)
	return volatile.ReplaceAllString(string(out), "*"), d.Result()
}
