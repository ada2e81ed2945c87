package upstream

import "net/http"

// Class is LiteLLM's name of the exception that an error is raised as: what its
// dashboards and callbacks group failures by.
func (e *Error) Class() string {
	switch e.Code {
	case CodeContextLength:
		return "ContextWindowExceededError"
	case CodeContentFilter:
		return "ContentPolicyViolationError"
	}
	return ClassOf(e.Status)
}

// ClassOf is [Error.Class] where only the status is known; 0: no answer came.
func ClassOf(status int) string {
	switch status {
	case 0:
		return "APIConnectionError"
	case http.StatusUnauthorized:
		return "AuthenticationError"
	case http.StatusForbidden:
		return "PermissionDeniedError"
	case http.StatusNotFound:
		return "NotFoundError"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "Timeout"
	case http.StatusUnprocessableEntity:
		return "UnprocessableEntityError"
	case http.StatusTooManyRequests:
		return "RateLimitError"
	case 499:
		return "ClientDisconnected"
	case http.StatusBadGateway:
		return "BadGatewayError"
	case http.StatusServiceUnavailable, 529:
		return "ServiceUnavailableError"
	}
	if status >= 400 && status < 500 {
		return "BadRequestError"
	}
	return "InternalServerError"
}
