package upstream

import (
	"net/http"
	"strings"
)

// This file is which kind of failure an error is: its type and code in OpenAI's
// words, its class in LiteLLM's.

// OpenAI's error codes that clients act on, whatever provider said them.
const (
	CodeContextLength = "context_length_exceeded"
	CodeContentFilter = "content_filter"
)

// Statuses that net/http has no names for.
const (
	statusClientClosed = 499 // nginx's: the client left
	statusOverloaded   = 529 // Anthropic's: the server is too busy
)

// kindOf is the error type that OpenAI's SDKs expect with a status, and LiteLLM's
// name of the exception that it is raised as; 0: no answer came.
func kindOf(status int) (openAIType, class string) {
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
	openAIType, _ := kindOf(status)
	return openAIType
}

// Normalise fills an absent type from the status and gives context-length and
// content-filter failures OpenAI's code for them.
func (e *Error) Normalise() {
	e.Message = clipWords(e.Message, maxMessage)
	e.Type, e.Code, e.Param = clipWords(e.Type, maxMember), clipWords(e.Code, maxMember), clipWords(e.Param, maxMember)
	if e.Type == "" {
		e.Type = TypeOf(e.Status)
	}
	switch {
	case e.Status != http.StatusBadRequest && e.Status != http.StatusRequestEntityTooLarge && e.Status != http.StatusUnprocessableEntity:
	case e.Code == CodeContextLength || ContextOverflow(e.Message):
		e.Code = CodeContextLength
	case e.Code == "content_policy_violation" || e.Code == CodeContentFilter || contentFiltered(e.Message):
		e.Code = CodeContentFilter
	}
}

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
	_, class := kindOf(status)
	return class
}

// ContextOverflow reports whether a provider's message says that the prompt is
// longer than the model's context. The phrases are those of OpenAI, Anthropic,
// Google, Mistral, vLLM, Ollama and llama.cpp.
func ContextOverflow(message string) bool {
	m := strings.ToLower(message)
	for _, phrase := range []string{
		"maximum context length", "prompt is too long", "exceed context limit", "exceeds the maximum number of tokens",
		"model's maximum context limit", "longer than the model's context length", "available context size",
		"maximum number of tokens allowed", "input is too long", "exceeds the context window", "exceeds maximum input length",
		"context length exceeded", "exceed_context_size", "too large for model with", "input length and `max_tokens` exceed",
	} {
		if strings.Contains(m, phrase) {
			return true
		}
	}
	return false
}

func contentFiltered(message string) bool {
	m := strings.ToLower(message)
	for _, phrase := range []string{
		"content management policy", "content_policy_violation", "content policy", "safety system", "responsibleaipolicyviolation",
		"output blocked by content filtering policy",
	} {
		if strings.Contains(m, phrase) {
			return true
		}
	}
	return false
}
