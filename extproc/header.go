package extproc

import (
	"strings"
)

// keepRequestHeader is the allow-list of client headers that stay on a request
// to any provider; some take others too (upstream.Call.HeaderWith). Envoy's own
// (x-request-id, x-forwarded-proto) are needed until the upstream header_mutation
// filter takes them away; tracing headers join the provider's span to ours and say
// nothing else.
func keepRequestHeader(name string) bool {
	if strings.HasPrefix(name, ":") {
		return true
	}
	switch name {
	case "x-request-id", "x-forwarded-proto", "traceparent", "tracestate":
		return true
	}
	return false
}

// keepResponseHeader is the allow-list of the headers of a provider's good answer
// that reach the client: what its SDK reads, and nothing that names an account or a
// host, makes a browser save the answer, or speaks of trying again.
func keepResponseHeader(name string) bool {
	switch name {
	case ":status", "content-type", "content-encoding", "content-length", "cache-control", "date",
		"x-request-id", "request-id", "openai-processing-ms", "openai-version":
		return true
	}
	return isRateLimit(name)
}

func isRateLimit(name string) bool { return strings.HasPrefix(name, "x-ratelimit-") }
