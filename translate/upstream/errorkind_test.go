package upstream_test

import (
	"testing"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestClassesAreLiteLLMs(t *testing.T) {
	for status, want := range map[int]string{
		0: "APIConnectionError", 400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
		408: "Timeout", 409: "BadRequestError", 422: "UnprocessableEntityError", 429: "RateLimitError", 499: "ClientDisconnected",
		500: "InternalServerError", 502: "BadGatewayError", 503: "ServiceUnavailableError", 504: "Timeout", 529: "ServiceUnavailableError",
	} {
		if got := upstream.ClassOf(status); got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
	for code, want := range map[string]string{
		upstream.CodeContextLength: "ContextWindowExceededError",
		upstream.CodeContentFilter: "ContentPolicyViolationError",
	} {
		if got := (&upstream.Error{Status: 400, Code: code}).Class(); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
}
