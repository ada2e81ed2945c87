package upstream

import "net/http"

// This file is which kinds of failure there are: whose fault it is and what may help.
// Which one a provider's answer is, errorjudge.go decides.

// Kind is the kind of a failure. A provider's translator decides it once, from
// status, header and body; everything that follows goes by it: retries, fallbacks,
// cooldowns, metrics and records. What each leads to is a table in docs/routing.md.
type Kind uint8

// The kinds of failure.
const (
	// KindUnknown is that of an [Error] whose maker did not say: [KindOf] goes by
	// its code and status then.
	KindUnknown Kind = iota
	// KindRequest: the request is wrong, for any provider.
	KindRequest
	// KindContextWindow: the prompt is longer than the model's context. Only a model
	// with a larger one can help.
	KindContextWindow
	// KindContentPolicy: prompt or answer was refused for its content. Only a model
	// with another policy can help.
	KindContentPolicy
	// KindUnsupported: this deployment will never serve this request (it lacks the
	// endpoint, the method or the modality; the request is larger than its whole
	// quota; it names a file that this account does not have). Another may. It says
	// nothing about the deployment's health.
	KindUnsupported
	// KindAccount: the key does not work, or its account is disabled or out of money.
	KindAccount
	// KindPermission: the key works, but not for this: the model, the region, the
	// network.
	KindPermission
	// KindModelNotFound: the deployment has no such model, or its address is wrong.
	KindModelNotFound
	// KindRateLimit: the account's rate limit or quota is used up for now.
	KindRateLimit
	// KindConflict: the request met another one (409). It may be made again, and
	// says nothing about the deployment's health.
	KindConflict
	// KindUnavailable: the server is overloaded or away for now.
	KindUnavailable
	// KindTimeout: the answer took too long, by the provider's clock or by ours.
	KindTimeout
	// KindServer: the server failed.
	KindServer
	// KindTransport: no answer came, or not the whole of it: refused, reset, or no
	// valid HTTP.
	KindTransport

	kinds // how many there are
)

// Kinds lists all kinds but KindUnknown.
func Kinds() []Kind {
	list := make([]Kind, 0, kinds-1)
	for k := KindUnknown + 1; k < kinds; k++ {
		list = append(list, k)
	}
	return list
}

// String is the kind's name in metrics, logs and the documentation.
func (k Kind) String() string {
	switch k {
	case KindRequest:
		return "request"
	case KindContextWindow:
		return "context_window"
	case KindContentPolicy:
		return "content_policy"
	case KindUnsupported:
		return "unsupported"
	case KindAccount:
		return "account"
	case KindPermission:
		return "permission"
	case KindModelNotFound:
		return "model_not_found"
	case KindRateLimit:
		return "rate_limit"
	case KindConflict:
		return "conflict"
	case KindUnavailable:
		return "unavailable"
	case KindTimeout:
		return "timeout"
	case KindServer:
		return "server"
	case KindTransport:
		return "transport"
	}
	return "unknown"
}

// KindOf is the kind of an error; KindTransport of a nil one: no answer came.
func KindOf(e *Error) Kind {
	switch {
	case e == nil:
		return KindTransport
	case e.Kind != KindUnknown:
		return e.Kind
	case e.Status >= http.StatusInternalServerError:
	case e.Code == CodeContextLength:
		return KindContextWindow
	case e.Code == CodeContentFilter:
		return KindContentPolicy
	}
	return kindOfStatus(e.Status)
}

// kindOfStatus is the kind of a failure of which only the status is known.
func kindOfStatus(status int) Kind {
	switch status {
	case 0:
		return KindTransport
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return KindRequest
	case http.StatusUnauthorized, http.StatusPaymentRequired:
		return KindAccount
	case http.StatusForbidden:
		return KindPermission
	case http.StatusNotFound:
		return KindModelNotFound
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return KindTimeout
	case http.StatusConflict:
		return KindConflict
	case http.StatusFailedDependency: // of the model server behind the one that answers
		return KindServer
	case http.StatusTooManyRequests:
		return KindRateLimit
	case http.StatusNotImplemented:
		return KindUnsupported
	case http.StatusBadGateway, http.StatusServiceUnavailable, statusOverloaded:
		return KindUnavailable
	}
	if status >= 400 && status < 500 {
		return KindUnsupported
	}
	return KindServer
}

// status is the HTTP status that tells a client of this kind; of what has none of its
// own, 500.
func (k Kind) status() int {
	switch k {
	case KindRequest, KindContextWindow, KindContentPolicy, KindUnsupported:
		return http.StatusBadRequest
	case KindAccount:
		return http.StatusUnauthorized
	case KindPermission:
		return http.StatusForbidden
	case KindModelNotFound:
		return http.StatusNotFound
	case KindRateLimit:
		return http.StatusTooManyRequests
	case KindConflict:
		return http.StatusConflict
	case KindUnavailable:
		return http.StatusServiceUnavailable
	case KindTimeout:
		return http.StatusGatewayTimeout
	case KindTransport:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}

// OpenAI's error codes that clients act on, whichever provider sends them.
const (
	CodeContextLength = "context_length_exceeded"
	CodeContentFilter = "content_filter"
)

// Statuses that net/http has no names for.
const (
	statusClientClosed = 499 // nginx's: the client left
	statusOverloaded   = 529 // Anthropic's: the server is too busy
)

// namesOf is the error type that OpenAI's SDKs expect with a status, and LiteLLM's
// name of the exception that it is raised as; 0: no answer came.
func namesOf(status int) (openAIType, class string) {
	switch status {
	case 0:
		return "server_error", "APIConnectionError"
	case http.StatusUnauthorized:
		return "authentication_error", "AuthenticationError"
	case http.StatusForbidden:
		return "permission_error", "PermissionDeniedError"
	case http.StatusNotFound:
		return "not_found_error", "NotFoundError"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error", "Timeout"
	case http.StatusUnprocessableEntity:
		return "invalid_request_error", "UnprocessableEntityError"
	case http.StatusTooManyRequests:
		return "rate_limit_error", "RateLimitError"
	case statusClientClosed:
		return "invalid_request_error", "ClientDisconnected"
	case http.StatusBadGateway:
		return "server_error", "BadGatewayError"
	case http.StatusServiceUnavailable:
		return "server_error", "ServiceUnavailableError"
	case statusOverloaded:
		return "overloaded_error", "ServiceUnavailableError"
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error", "BadRequestError"
	}
	return "server_error", "InternalServerError"
}

// TypeOf returns the error type that OpenAI's SDKs expect with a status.
func TypeOf(status int) string {
	openAIType, _ := namesOf(status)
	return openAIType
}

// Class is LiteLLM's name of the exception that an error is raised as: what its
// dashboards and callbacks group failures by.
func (e *Error) Class() string { return KindOf(e).Class(e.Status) }

// Class is LiteLLM's name of the exception that a failure of this kind is raised as
// with that status; 0: no answer came.
func (k Kind) Class(status int) string {
	switch k {
	case KindContextWindow:
		return "ContextWindowExceededError"
	case KindContentPolicy:
		return "ContentPolicyViolationError"
	case KindTimeout:
		return "Timeout"
	}
	return ClassOf(status)
}

// ClassOf is [Kind.Class] where only the status is known; 0: no answer came.
func ClassOf(status int) string {
	_, class := namesOf(status)
	return class
}
