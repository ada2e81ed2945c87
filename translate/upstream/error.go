package upstream

import (
	"net/http"
	"strconv"
	"time"
)

// Error is a failure as an OpenAI client reads it: an HTTP status and the
// members of OpenAI's error object. Its body, and those of providers, are in
// errorbody.go; which kinds of failure there are, in errorkind.go. What a provider's
// answer became (translate.Bound.Failure) is bounded, valid UTF-8, and has no
// secret in any member or field.
type Error struct {
	Status  int    // HTTP status for the client: the provider's, unless it says something else than Kind
	Kind    Kind   // what kind of failure it is; read it with KindOf
	Type    string // "invalid_request_error", "rate_limit_error", "server_error", …
	Code    string // "" is null
	Param   string // the request member that is to blame; "" is null
	Message string
	Header  Header // retry-after and x-ratelimit-* fields that the client may use
	// RetryAfter is how long the provider asks to be left alone, in the header or
	// the body of its answer; 0: it does not say. See retryafter.go.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return strconv.Itoa(e.Status) + " " + e.Type + ": " + e.Message }

// BadRequest is the Error for a request that no provider should see: status
// 400, the member to blame and what is wrong with it.
func BadRequest(param, message string) *Error {
	return &Error{Status: http.StatusBadRequest, Type: "invalid_request_error", Param: param, Message: message}
}
