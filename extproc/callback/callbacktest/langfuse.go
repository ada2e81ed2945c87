package callbacktest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The keys that a [Langfuse] takes.
const (
	LangfusePublicKey = "pk-lf-1"
	LangfuseSecretKey = "sk-lf-1"
)

// Langfuse is a strict Langfuse: it refuses whatever the real one would not
// understand, and keeps the rest. Set its fields before Start.
type Langfuse struct {
	NoOTLP int    // status of the OTLP endpoint when it has none
	Refuse string // answer of the ingestion API; default: all is well

	mu     sync.Mutex
	spans  []*tracepb.Span
	bodies []string
	paths  []string
}

// Start serves until the test ends and returns the address.
func (f *Langfuse) Start(t testing.TB) string {
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

// Spans are those that came over OTLP.
func (f *Langfuse) Spans() []*tracepb.Span {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.spans)
}

// Bodies are what came to the ingestion API.
func (f *Langfuse) Bodies() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.bodies)
}

// Paths are the paths that were asked for.
func (f *Langfuse) Paths() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.paths)
}

// ServeHTTP answers one request.

func (f *Langfuse) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths = append(f.paths, r.URL.Path)
	if user, password, _ := r.BasicAuth(); user != LangfusePublicKey || password != LangfuseSecretKey {
		http.Error(w, "Invalid credentials", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil || r.Method != http.MethodPost:
		http.Error(w, "not a POST", http.StatusBadRequest)
	case r.URL.Path == "/api/public/otel/v1/traces" && f.NoOTLP != 0:
		w.WriteHeader(f.NoOTLP)
	case r.URL.Path == "/api/public/otel/v1/traces":
		if err := f.takeSpans(r, body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	case r.URL.Path == "/api/public/ingestion":
		f.bodies = append(f.bodies, string(body))
		w.WriteHeader(http.StatusMultiStatus)
		answer := f.Refuse
		if answer == "" {
			answer = `{"successes":[],"errors":[]}`
		}
		_, _ = io.WriteString(w, answer)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// takeSpans decodes a request as the OTLP endpoint does.
func (f *Langfuse) takeSpans(r *http.Request, body []byte) error {
	if r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Langfuse-Public-Key") != LangfusePublicKey ||
		r.Header.Get("X-Langfuse-Sdk-Name") == "" || r.Header.Get("X-Langfuse-Sdk-Version") == "" ||
		r.Header.Get("X-Langfuse-Ingestion-Version") == "" {
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
	if !strings.HasPrefix(scope.Scope.Name, "langfuse-sdk") || Attributes(scope.Scope.Attributes)["public_key"] != LangfusePublicKey {
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

// ShowSpan writes a span so that a reader can check it against the table in
// LiteLLM's documentation.
func ShowSpan(s *tracepb.Span) string {
	at := func(nanos uint64) string { return time.Unix(0, int64(nanos)).UTC().Format(time.RFC3339Nano) }
	var b strings.Builder
	fmt.Fprintf(&b, "trace %x span %x parent %x\n%s %s\n%s to %s\n%s %q\n", s.TraceId, s.SpanId, s.ParentSpanId,
		s.Name, s.Kind, at(s.StartTimeUnixNano), at(s.EndTimeUnixNano), s.Status.Code, s.Status.Message)
	all := Attributes(s.Attributes)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = %s\n", name, all[name])
	}
	return b.String()
}

// Attributes is a span's attributes as text; lists are joined with "|".
func Attributes(list []*commonpb.KeyValue) map[string]string {
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
