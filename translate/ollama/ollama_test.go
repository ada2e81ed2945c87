package ollama_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/ollama"
	"github.com/isthmus-proxy/isthmus/translate/secret"
	"github.com/isthmus-proxy/isthmus/translate/translatetest"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// feed decodes an answer that comes in pieces.
func feed(t testing.TB, req *chat.Request, pieces ...string) (string, chat.Result) {
	t.Helper()
	return translatetest.Feed(t, suite.Bind(t, upstream.Target{}).Decoder(req, upstream.Head{Status: 200}), pieces...)
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
			target := upstream.Target{
				BaseURL: test.base,
				APIKey:  secret.New("k"),
				Headers: []upstream.ExtraHeader{{Name: "X-Team", Value: secret.New("a")}},
			}
			call, err := suite.Bind(t, target).Request(translatetest.Request(t, chat.Completions, `{"messages":[{"role":"user","content":"hi"}]}`))
			if err != nil {
				t.Fatal(err)
			}
			want := upstream.Call{
				Method: "POST",
				Path:   test.path,
				Body:   []byte(`{"model":"llama3.2","messages":[{"role":"user","content":"hi"}],"stream":false}`),
				Header: upstream.Header{
					{Name: "content-type", Value: "application/json"}, {Name: "authorization", Value: "Bearer k"}, {Name: "x-team", Value: "a"},
				},
			}
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
