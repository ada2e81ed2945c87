package extproc

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// readHeader copies Envoy's header list; names are in lower case already.
func readHeader(m *corev3.HeaderMap) upstream.Header {
	fields := m.GetHeaders()
	size := 0
	for _, f := range fields {
		size += len(f.GetRawValue())
	}
	var values strings.Builder
	values.Grow(size)
	for _, f := range fields {
		values.Write(f.GetRawValue())
	}
	text := values.String() // one string for all: the values are parts of it
	header := make(upstream.Header, len(fields))
	for i, f := range fields {
		value := f.GetValue()
		if n := len(f.GetRawValue()); n > 0 {
			value, text = text[:n], text[n:]
		}
		header[i] = upstream.Field{Name: f.GetKey(), Value: value}
	}
	return header
}

// keepRequestHeader is the allow-list of client headers that stay on a request
// to any provider; some take others too (upstream.Call.HeaderWith). Envoy's own (x-request-id, x-forwarded-proto) are needed until
// the upstream header_mutation filter takes them away; tracing headers join the
// provider's span to ours and say nothing else.
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

// attributes are the Envoy attributes of one message.
type attributes map[string]*structpb.Struct

// text returns an attribute as text, whichever filter name it came under.
func (a attributes) text(name string) string {
	for _, s := range a {
		if v, ok := s.GetFields()[name]; ok {
			return v.GetStringValue()
		}
	}
	return ""
}

// number returns an attribute as a number, or 0.
func (a attributes) number(name string) int {
	for _, s := range a {
		if v, ok := s.GetFields()[name]; ok {
			return int(v.GetNumberValue())
		}
	}
	return 0
}
