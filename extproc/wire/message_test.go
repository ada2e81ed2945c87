package wire

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

func TestAMessageSaysItsPhaseAndWhatItBrings(t *testing.T) {
	head := upstream.Header{{Name: "a", Value: "1"}, {Name: "b", Value: ""}}
	for name, tc := range map[string]struct {
		raw    *extprocv3.ProcessingRequest
		phase  Phase
		ended  bool
		header upstream.Header
		body   string
	}{
		"request headers":        {requestHeaders(false, "a", "1", "b", ""), RequestHeaders, false, head, ""},
		"headers without a body": {requestHeaders(true, "a", "1", "b", ""), RequestHeaders, true, head, ""},
		"a request body":         {requestBody("{}"), RequestBody, true, nil, "{}"},
		"response headers":       {responseHeaders(false, "a", "1", "b", ""), ResponseHeaders, false, head, ""},
		"a piece":                {responseBody("x", false), ResponseBody, false, nil, "x"},
		"the last piece":         {responseBody("y", true), ResponseBody, true, nil, "y"},
		"trailers":               {responseTrailers(), ResponseTrailers, true, nil, ""},
		"no kind":                {&extprocv3.ProcessingRequest{}, UnknownPhase, false, nil, ""},
		"nothing":                {nil, UnknownPhase, false, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := MessageOf(tc.raw)
			if m.Phase() != tc.phase || m.EndOfStream() != tc.ended || string(m.Body()) != tc.body {
				t.Errorf("phase %d, ended %t, body %q", m.Phase(), m.EndOfStream(), m.Body())
			}
			if diff := cmp.Diff(tc.header, m.Headers()); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAHeaderIsReadFromEitherOfItsFields(t *testing.T) {
	m := MessageOf(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{
		Headers: &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "a", Value: "text"}, {Key: "b", RawValue: []byte("raw")}}},
	}}})
	if diff := cmp.Diff(upstream.Header{{Name: "a", Value: "text"}, {Name: "b", Value: "raw"}}, m.Headers()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestAttributesAndMetadataAreFoundOrEmpty(t *testing.T) {
	raw := responseHeaders(false)
	raw.Attributes, raw.MetadataContext = attributes(3, "via_upstream"), exchange("x1")
	m, none := MessageOf(raw), MessageOf(responseHeaders(false))
	if n, d := m.AttributeNumber(names.AttributeAttempt), m.Attribute(names.AttributeDetails); n != 3 || d != "via_upstream" {
		t.Errorf("attempt %d, details %q", n, d)
	}
	if m.AttributeNumber(names.AttributeDetails) != 0 || m.Attribute(names.AttributeAttempt) != "" {
		t.Error("an attribute of the other kind is read")
	}
	if id := m.ExchangeField(names.FieldID); id != "x1" {
		t.Errorf("id %q", id)
	}
	if none.AttributeNumber(names.AttributeAttempt) != 0 || none.Attribute(names.AttributeDetails) != "" ||
		none.ExchangeField(names.FieldID) != "" {
		t.Error("a message without them has attributes or metadata")
	}
}
