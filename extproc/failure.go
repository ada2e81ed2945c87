package extproc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

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
		Message: fmt.Sprintf("the request body is compressed (content-encoding: %s): send it plain, or let Envoy's decompressor filter stand before isthmus", coding),
		Header:  upstream.Header{{Name: "accept-encoding", Value: "identity"}},
	}
}

// clientGone is for the records only: nobody reads this answer.
func clientGone() *upstream.Error {
	return &upstream.Error{Status: 499, Type: "client_closed_request", Code: "client_closed_request", Message: "the client left before it was answered"}
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
