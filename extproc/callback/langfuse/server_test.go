package langfuse

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/isthmus-proxy/isthmus/extproc/callback"
	"github.com/isthmus-proxy/isthmus/translate/secret"
)

// fakeLangfuse is a strict Langfuse: it refuses whatever the real one would not
// understand, and keeps the rest.
type fakeLangfuse struct {
	noOTLP int // status of the OTLP endpoint when it has none
	refuse string

	mu     sync.Mutex
	spans  []*tracepb.Span
	bodies []string // of the ingestion API
	paths  []string
}

func (f *fakeLangfuse) start(t *testing.T) *Sink {
	server := httptest.NewServer(f)
	poster := callback.NewPoster(callback.PosterConfig{})
	t.Cleanup(func() { poster.Close(); server.Close() })
	return New(Config{PublicKey: "pk-lf-1", SecretKey: secret.New("sk-lf-1"), Host: server.URL, Version: "1.2"}, poster)
}

func (f *fakeLangfuse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths = append(f.paths, r.URL.Path)
	if user, password, _ := r.BasicAuth(); user != "pk-lf-1" || password != "sk-lf-1" {
		http.Error(w, "Invalid credentials", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil || r.Method != http.MethodPost:
		http.Error(w, "not a POST", http.StatusBadRequest)
	case r.URL.Path == "/api/public/otel/v1/traces" && f.noOTLP != 0:
		w.WriteHeader(f.noOTLP)
	case r.URL.Path == "/api/public/otel/v1/traces":
		if err := f.takeSpans(r, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case r.URL.Path == "/api/public/ingestion":
		f.bodies = append(f.bodies, string(body))
		w.WriteHeader(http.StatusMultiStatus)
		if f.refuse == "" {
			f.refuse = `{"successes":[],"errors":[]}`
		}
		_, _ = io.WriteString(w, f.refuse)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// takeSpans decodes a request as the OTLP endpoint does.
func (f *fakeLangfuse) takeSpans(r *http.Request, body []byte) error {
	if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Langfuse-Public-Key") != "pk-lf-1" ||
		r.Header.Get("X-Langfuse-Sdk-Name") == "" || r.Header.Get("X-Langfuse-Sdk-Version") != "1.2" || r.Header.Get("X-Langfuse-Ingestion-Version") == "" {
		return fmt.Errorf("wrong headers: %v", r.Header)
	}
	var traces tracepb.TracesData
	if err := (proto.UnmarshalOptions{DiscardUnknown: false}).Unmarshal(body, &traces); err != nil {
		return err
	}
	if len(traces.ProtoReflect().GetUnknown()) > 0 || len(traces.ResourceSpans) != 1 || len(traces.ResourceSpans[0].ScopeSpans) != 1 {
		return fmt.Errorf("wrong shape: %v", &traces)
	}
	scope := traces.ResourceSpans[0].ScopeSpans[0]
	if !strings.HasPrefix(scope.Scope.Name, "langfuse-sdk") || attributes(scope.Scope.Attributes)["public_key"] != "pk-lf-1" {
		return fmt.Errorf("langfuse.* attributes of the scope %v would not be read", scope.Scope)
	}
	for _, s := range scope.Spans {
		if len(s.TraceId) != 16 || len(s.SpanId) != 8 || s.EndTimeUnixNano < s.StartTimeUnixNano || s.Name == "" {
			return fmt.Errorf("wrong span: %v", s)
		}
		f.spans = append(f.spans, s)
	}
	return nil
}

// attributes is a span's attributes as text; lists are joined with "|".
func attributes(list []*commonpb.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		if _, twice := out[a.Key]; twice {
			out[a.Key] = "TWICE"
			continue
		}
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			out[a.Key] = v.StringValue
		case *commonpb.AnyValue_ArrayValue:
			var texts []string
			for _, e := range v.ArrayValue.Values {
				texts = append(texts, e.GetStringValue())
			}
			out[a.Key] = strings.Join(texts, "|")
		default:
			out[a.Key] = fmt.Sprint(v)
		}
	}
	return out
}
