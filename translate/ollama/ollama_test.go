package ollama_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/ollama"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func bind(t testing.TB, target upstream.Target) *ollama.Translator {
	t.Helper()
	target.Provider = "ollama"
	if target.Model == "" {
		target.Model = "llama3.2"
	}
	if target.BaseURL == "" {
		target.BaseURL = "http://localhost:11434"
	}
	tr, err := ollama.New(&target)
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

func refusal(t testing.TB, err error) *upstream.Error {
	t.Helper()
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an *upstream.Error, got %v", err)
	}
	return e
}

// volatile matches what is made up for each answer.
var volatile = regexp.MustCompile(`(chatcmpl-|cmpl-|call_)[A-Z2-7]{26}|"created":\d+`)

// blank replaces what is made up; what is left of JSON is JSON.
func blank(out string) string {
	return volatile.ReplaceAllStringFunc(out, func(found string) string {
		if strings.HasPrefix(found, `"`) {
			return `"created":0`
		}
		return "*"
	})
}

// feed decodes an answer that comes in pieces.
func feed(t testing.TB, req *chat.Request, pieces ...string) (string, chat.Result) {
	t.Helper()
	d := bind(t, upstream.Target{}).Decoder(req, upstream.Head{Status: 200})
	var out []byte
	for i, piece := range pieces {
		out = append(out, d.Feed([]byte(piece), i == len(pieces)-1)...)
	}
	if d.Feed([]byte("{}\n"), true) != nil {
		t.Error("output after the end")
	}
	return blank(string(out)), d.Result()
}

func TestNewWorksOutTheCall(t *testing.T) {
	tests := map[string]struct{ base, path string }{
		"the server":                  {"http://h:11434", "/api/chat"},
		"a server behind a path":      {"http://h/ollama/", "/ollama/api/chat"},
		"the endpoint is not doubled": {"http://h/api/chat", "/api/chat"},
		"nor is the path of the API":  {"http://h/api", "/api/chat"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			target := upstream.Target{BaseURL: test.base, APIKey: secret.New("k"), Headers: []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("a")}}}
			call, err := bind(t, target).Request(parse(t, chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := upstream.Call{Method: "POST", Path: test.path, Body: []byte(`{"model":"llama3.2","messages":[{"role":"user","content":"hi"}],"stream":false}`),
				Header: upstream.Header{{Name: "content-type", Value: "application/json"}, {Name: "authorization", Value: "Bearer k"}, {Name: "x-team", Value: "a"}}}
			if diff := cmp.Diff(want, *call); diff != "" {
				t.Errorf("call (-want +got):\n%s", diff)
			}
		})
	}
	for _, target := range []upstream.Target{{BaseURL: "nowhere", Model: "m"}, {BaseURL: "http://h"}} {
		if _, err := ollama.New(&target); err == nil {
			t.Errorf("New(%+v): no error", target)
		}
	}
}
