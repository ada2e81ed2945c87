package trace

import (
	"fmt"
	"net/url"
	"strings"
)

// Protocol is how spans travel.
type Protocol string

// The protocols there are.
const (
	HTTP Protocol = "http/protobuf"
	GRPC Protocol = "grpc"
)

// settings are what the environment says and the SDK does not read by itself.
type settings struct {
	on       bool
	protocol Protocol
	// endpoint and headers are LiteLLM's OTEL_ENDPOINT and OTEL_HEADERS, where the
	// standard variables say nothing; "" else.
	endpoint string
	headers  map[string]string
}

// readEnvironment reads the settings. asked says that the model config names the
// callback otel: then spans go to the default endpoint when none is named.
func readEnvironment(getenv func(string) string, asked bool) (settings, error) {
	endpoint := getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") + getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	s := settings{on: asked || endpoint != "", protocol: HTTP}
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return settings{}, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return settings{}, nil
	default:
		return settings{}, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: isthmus has otlp and none", exporter)
	}
	protocol := first(getenv, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER")
	switch protocol {
	case "", "http/protobuf", "otlp_http":
	case "grpc", "otlp_grpc":
		s.protocol = GRPC
	default:
		return settings{}, fmt.Errorf("the protocol %q of OTEL_EXPORTER_OTLP_PROTOCOL: isthmus has http/protobuf and grpc", protocol)
	}
	if endpoint == "" && asked {
		s.endpoint, s.headers = ownEndpoint(getenv("OTEL_ENDPOINT"), s.protocol), pairs(getenv("OTEL_HEADERS"))
	}
	return s, nil
}

// ownEndpoint is LiteLLM's endpoint with the scheme and the path that it leaves out.
func ownEndpoint(url string, p Protocol) string {
	if url != "" && !strings.Contains(url, "://") {
		url = "http://" + url
	}
	if url == "" || p == GRPC || strings.Contains(url, "/v1/traces") {
		return url
	}
	return strings.TrimRight(url, "/") + "/v1/traces"
}

func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if v := getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// pairs reads "name=value,name=value".
func pairs(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if name, value, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && name != "" {
			out[name] = value
		}
	}
	return out
}

// headerValues are the values of the headers that go to the collector, as they are
// written and as they are sent.
func headerValues(getenv func(string) string) []string {
	var out []string
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_HEADERS"} {
		for _, value := range pairs(getenv(name)) {
			value = strings.TrimSpace(value)
			if decoded, err := url.PathUnescape(value); err == nil && decoded != value && decoded != "" {
				out = append(out, decoded)
			}
			if value != "" {
				out = append(out, value)
			}
		}
	}
	return out
}
