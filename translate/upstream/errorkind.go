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

// statusOverloaded is Anthropic's status of a server that is too busy.
const statusOverloaded = 529

// TypeOf returns the error type that OpenAI's SDKs expect with a status.
func TypeOf(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case statusOverloaded:
		return "overloaded_error"
	}
	if status >= 400 && status < 500 {
		return "invalid_request_error"
	}
	return "server_error"
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
	case http.StatusServiceUnavailable, statusOverloaded:
		return "ServiceUnavailableError"
	}
	if status >= 400 && status < 500 {
		return "BadRequestError"
	}
	return "InternalServerError"
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
