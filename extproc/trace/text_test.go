package trace

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestNoTextLosesABatch puts bytes that are no text, and a long text, into every
// text of a request's spans.
func TestNoTextLosesABatch(t *testing.T) {
	c := newCollector(t)
	tracer := open(t, Config{Version: "1", Getenv: environment(t, "OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)})
	began := time.Now()
	good := tracer.Begin(Parent{}, began)
	good.End(&Summary{Operation: "chat", Asked: "good", Began: began, Took: time.Second, Status: 200})
	for _, bad := range []string{"bad\xff", "\xc3", strings.Repeat("ß", 5000)} {
		r := tracer.Begin(Parent{Tracestate: bad}, began)
		r.End(&Summary{
			ID: bad, Path: bad, Operation: "chat", Asked: bad, Group: bad, Deployment: bad, System: bad, ResponseID: bad, ResponseModel: bad,
			FinishReason: bad,
			ErrorType:    bad, Cache: bad, Status: 500, Began: began, Took: time.Second,
			Attempts: []Attempt{{Group: bad, Deployment: bad, System: bad, Model: bad, Host: bad, Error: bad, Fallback: 1, Cooled: true,
				Began: began, Took: time.Second}},
		})
	}
	if err := tracer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := c.spans(t)
	if spans["chat good"] == nil || len(spans) != 7 {
		t.Fatalf("%d spans came, want the good one and two of each bad request", len(spans))
	}
	for name, span := range spans {
		for _, a := range span.Attributes {
			if text := a.Value.GetStringValue(); !utf8.ValidString(text) || len(text) > maxText+8 {
				t.Errorf("%.40q: %s has %d bytes", name, a.Key, len(text))
			}
		}
	}
}
