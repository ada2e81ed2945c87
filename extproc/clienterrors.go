package extproc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// The errors that isthmus itself gives a client. The shape of their body is in
// translate/upstream/error.go; a provider's error is read by its own translator.

// asError makes what a client sees of any error. Ours are *upstream.Error
// already; anything else is a fault of this program and says nothing outside.
func asError(err error) *upstream.Error {
	var e *upstream.Error
	if errors.As(err, &e) {
		return e
	}
	return &upstream.Error{Status: http.StatusInternalServerError, Type: "server_error", Message: "internal error of the gateway"}
}

func unknownURL(method, path string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Code: "unknown_url",
		Message: fmt.Sprintf("Unknown request URL: %s %s. See docs/endpoints.md for the endpoints of this gateway.", method, withoutQuery(path)),
	}
}

func wrongMethod(method, allowed string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusMethodNotAllowed, Type: "invalid_request_error", Code: "method_not_allowed",
		Message: fmt.Sprintf("Not allowed to %s here: use %s.", method, allowed),
		Header:  upstream.Header{{Name: "allow", Value: allowed}},
	}
}

func bodyTooLarge(limit int64) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusRequestEntityTooLarge, Type: "invalid_request_error", Code: "request_too_large",
		Message: fmt.Sprintf("the request body exceeds the limit of %d bytes (general_settings.max_request_body_bytes)", limit),
	}
}

func compressedBody(coding string) *upstream.Error {
	return &upstream.Error{
		Status: http.StatusUnsupportedMediaType, Type: "invalid_request_error", Code: "unsupported_content_encoding",
		Message: fmt.Sprintf("the request body is compressed (content-encoding: %s): send it plain, "+
			"or let Envoy's decompressor filter stand before isthmus", coding),
		Header: upstream.Header{{Name: "accept-encoding", Value: "identity"}},
	}
}

// clientGone is for the records only: it is not sent.
func clientGone() *upstream.Error {
	return &upstream.Error{
		Status: 499, Type: "client_closed_request", Code: "client_closed_request",
		Message: "the client left before it was answered",
	}
}

func drainingError() *upstream.Error {
	return &upstream.Error{
		Status: http.StatusServiceUnavailable, Type: "server_error", Code: "draining",
		Message: "the gateway is shutting down",
		Header:  upstream.Header{{Name: "retry-after", Value: "1"}, {Name: "connection", Value: "close"}},
	}
}

// withoutQuery cuts the query off a path: Google's clients put keys there.
func withoutQuery(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// localFailure is the error for an answer that Envoy made itself.
func localFailure(status int, details string) *upstream.Error {
	switch {
	case status == http.StatusGatewayTimeout || strings.Contains(details, "timeout") || details == timedAnswer:
		return &upstream.Error{Status: http.StatusGatewayTimeout, Type: "timeout_error", Code: "upstream_timeout",
			Message: "the provider did not answer in time"}
	case strings.Contains(details, "protocol_error"), strings.HasPrefix(details, "http1."), strings.HasPrefix(details, "http2."):
		return &upstream.Error{Status: http.StatusBadGateway, Type: "server_error", Code: "invalid_answer",
			Message: "the provider's answer is not valid HTTP"}
	case status == http.StatusRequestEntityTooLarge:
		return &upstream.Error{Status: status, Type: "invalid_request_error", Code: "request_too_large", Message: "the request is too large"}
	}
	return &upstream.Error{Status: http.StatusServiceUnavailable, Type: "server_error", Code: "upstream_unavailable",
		Message: "no provider could be reached for this model"}
}
