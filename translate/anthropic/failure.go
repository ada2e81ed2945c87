package anthropic

import (
	"net/http"

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
	e := upstream.ReadError(head, body)
	switch e.Type {
	case "api_error", "request_too_large": // OpenAI has other words
		e.Type = ""
	}
	e.Normalise()
	return e
}

// streamed is the failure that an error inside a 200 answer stands for.
func streamed(body []byte) *upstream.Error {
	var w struct {
		Error struct {
			Type string `json:"type"`
		} `json:"error"`
	}
	_ = upstream.Unmarshal(body, &w) // of another shape: a server's error
	return failure(upstream.Head{Status: statusOf(w.Error.Type)}, body)
}

// isFailure reports whether an answer's error member says anything.
func isFailure(e jsontext.Value) bool { return e.Kind() == '{' || e.Kind() == '"' }

// statusOf returns the status that an error type has outside of streams.
func statusOf(kind string) int {
	switch kind {
	case "invalid_request_error":
		return http.StatusBadRequest
	case "authentication_error":
		return http.StatusUnauthorized
	case "billing_error":
		return http.StatusPaymentRequired
	case "permission_error":
		return http.StatusForbidden
	case "not_found_error":
		return http.StatusNotFound
	case "request_too_large":
		return http.StatusRequestEntityTooLarge
	case "rate_limit_error":
		return http.StatusTooManyRequests
	case "api_error":
		return http.StatusInternalServerError
	case "timeout_error":
		return http.StatusGatewayTimeout
	case "overloaded_error":
		return 529
	}
	return http.StatusBadGateway
}
