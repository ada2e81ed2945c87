package translatetest

import (
	"cmp"
	"errors"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate"
	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Bind binds a deployment of the suite's provider; what the target does not say
// is the suite's.
func (s Suite) Bind(t testing.TB, target upstream.Target) *translate.Bound {
	t.Helper()
	target.Provider = cmp.Or(target.Provider, s.Provider)
	target.Model = cmp.Or(target.Model, s.Model)
	target.BaseURL = cmp.Or(target.BaseURL, s.BaseURL)
	bound, err := translate.Bind(&target)
	if err != nil {
		t.Fatal(err)
	}
	return bound
}

// Request reads a client's request to a model group called "alias".
func Request(t testing.TB, endpoint chat.Endpoint, body string) *chat.Request {
	t.Helper()
	req, err := chat.Parse(endpoint, []byte(body), "alias")
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// Call is what a deployment of the suite's provider makes of a request.
func (s Suite) Call(t testing.TB, target upstream.Target, endpoint chat.Endpoint, body string) *upstream.Call {
	t.Helper()
	call, err := s.Bind(t, target).Request(Request(t, endpoint, body))
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// Canonical spells JSON so that equal values are equal texts.
func Canonical[T ~string | ~[]byte](t testing.TB, text T) string {
	t.Helper()
	v := jsontext.Value(text).Clone()
	if err := v.Canonicalize(); err != nil {
		t.Fatalf("%s in %s", err, text)
	}
	return string(v)
}

// Refusal returns the error that the client gets in place of an answer; it fails
// the test when err is not for clients.
func Refusal(t testing.TB, err error) *upstream.Error {
	t.Helper()
	var e *upstream.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an *upstream.Error, got %v", err)
	}
	return e
}

// Feed gives a Decoder an answer in pieces and returns what the client gets, with
// what is made up for each answer blanked out.
func Feed(t testing.TB, d chat.Decoder, pieces ...string) (string, chat.Result) {
	t.Helper()
	var out []byte
	for i, piece := range pieces {
		out = append(out, d.Feed([]byte(piece), i == len(pieces)-1)...)
	}
	if d.Feed([]byte("data: {}\n\n"), true) != nil {
		t.Error("output after the end")
	}
	return steady(out), d.Result()
}
