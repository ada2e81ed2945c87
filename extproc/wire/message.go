package wire

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Phase is what a message of Envoy's is about.
type Phase int

// The phases, in the order of a request's life.
const (
	RequestHeaders Phase = iota
	RequestBody
	ResponseHeaders
	ResponseBody
	ResponseTrailers

	Phases       // how many there are
	UnknownPhase = Phase(-1)
)

// String is the phase's name in metrics and errors. It panics for UnknownPhase.
func (p Phase) String() string {
	return [Phases]string{"request_headers", "request_body", "response_headers", "response_body", "response_trailers"}[p]
}

// Message is one message of Envoy's on the stream of a filter. It is a view: what
// it returns is part of the message, but for Headers. The zero value is a message of
// UnknownPhase.
type Message struct{ raw *extprocv3.ProcessingRequest }

// MessageOf returns the view of a message that gRPC has read.
func MessageOf(raw *extprocv3.ProcessingRequest) Message { return Message{raw} }

// Phase says what the message is about; UnknownPhase for what no filter of ours is
// configured to send.
func (m Message) Phase() Phase {
	switch m.raw.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return RequestHeaders
	case *extprocv3.ProcessingRequest_RequestBody:
		return RequestBody
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return ResponseHeaders
	case *extprocv3.ProcessingRequest_ResponseBody:
		return ResponseBody
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return ResponseTrailers
	}
	return UnknownPhase
}

// EndOfStream reports whether nothing of this half of the exchange follows:
// headers without a body, the last piece of a body, or trailers.
func (m Message) EndOfStream() bool {
	switch r := m.raw.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return r.RequestHeaders.GetEndOfStream()
	case *extprocv3.ProcessingRequest_RequestBody:
		return r.RequestBody.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return r.ResponseHeaders.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseBody:
		return r.ResponseBody.GetEndOfStream()
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return true
	}
	return false
}

// Body is the piece of a body that the message brings; nil: it brings none. It is
// part of the memory that the message was read from, and must not be changed.
func (m Message) Body() []byte {
	switch r := m.raw.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestBody:
		return r.RequestBody.GetBody()
	case *extprocv3.ProcessingRequest_ResponseBody:
		return r.ResponseBody.GetBody()
	}
	return nil
}

// Headers are a copy of the headers that the message brings, names in lower case;
// empty: it brings none.
func (m Message) Headers() upstream.Header {
	switch r := m.raw.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		return copyHeaders(r.RequestHeaders.GetHeaders())
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		return copyHeaders(r.ResponseHeaders.GetHeaders())
	}
	return nil
}

// copyHeaders copies Envoy's list, whose names are in lower case already.
func copyHeaders(m *corev3.HeaderMap) upstream.Header {
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

// Attribute returns an Envoy attribute as text, whichever filter's name it came
// under; "": it is not there, or no text.
func (m Message) Attribute(name string) string {
	for _, s := range m.raw.GetAttributes() {
		if v, ok := s.GetFields()[name]; ok {
			return v.GetStringValue()
		}
	}
	return ""
}

// AttributeNumber returns an Envoy attribute as a whole number; 0: it is not there,
// or no number.
func (m Message) AttributeNumber(name string) int {
	for _, s := range m.raw.GetAttributes() {
		if v, ok := s.GetFields()[name]; ok {
			return int(v.GetNumberValue())
		}
	}
	return 0
}

// ExchangeField returns a text of names.NamespaceExchange, which Envoy forwards with
// the messages of the upstream filters; "": it is not there.
func (m Message) ExchangeField(name string) string {
	return m.raw.GetMetadataContext().GetFilterMetadata()[names.NamespaceExchange].GetFields()[name].GetStringValue()
}
