package anthropic

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Failure reads an error answer and gives its rate limits OpenAI's names.
// https://platform.claude.com/docs/en/api/errors
func (tr *Translator) Failure(head upstream.Head, body []byte) *upstream.Error {
	e := failure(head, body)
	for _, f := range upstream.RateLimits(head.Header) {
		e.Header.Set(f.Name, f.Value)
	}
	return e
}

func failure(head upstream.Head, body []byte) *upstream.Error {
	return named(upstream.ReadError(head, body))
}

// streamed is the failure that an error inside a 200 answer stands for.
func streamed(body []byte) *upstream.Error { return named(upstream.ReadEmbedded(body)) }

// named gives an error OpenAI's words for its type.
func named(e *upstream.Error) *upstream.Error {
	switch e.Type {
	case "api_error", "request_too_large":
		e.Type = upstream.TypeOf(e.Status)
	}
	return e
}

// isFailure reports whether an answer's error member says anything.
func isFailure(e jsontext.Value) bool { return e.Kind() == '{' || e.Kind() == '"' }
