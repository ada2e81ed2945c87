package wire

import (
	"bytes"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A request has some twenty-five headers in two messages. Read one by one they
// would be half of all that a request allocates; here those of a message share
// their memory.

// unmarshalSmall reads a message that brings no large body. What is not written as
// Envoy writes headers is left to protobuf, errors included.
func unmarshalSmall(text []byte, into *extprocv3.ProcessingRequest) error {
	number, from, to := bytesField(text, 0)
	if number != inRequestHeaders && number != inResponseHeaders {
		return proto.Unmarshal(text, into)
	}
	headers, ok := readHeaders(text[from:to])
	if !ok || proto.Unmarshal(text[to:], into) != nil || into.Request != nil {
		return proto.Unmarshal(text, into)
	}
	if number == inRequestHeaders {
		into.Request = &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: headers}
	} else {
		into.Request = &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: headers}
	}
	return nil
}

// readHeaders reads an HttpHeaders message; false: protobuf must.
func readHeaders(text []byte) (*extprocv3.HttpHeaders, bool) {
	number, from, to := bytesField(text, 0)
	if number != httpHeadersMap {
		return nil, false
	}
	list, ok := readHeaderMap(text[from:to])
	headers := &extprocv3.HttpHeaders{}
	if !ok || proto.Unmarshal(text[to:], headers) != nil || headers.Headers != nil {
		return nil, false
	}
	headers.Headers = &corev3.HeaderMap{Headers: list}
	return headers, true
}

// readHeaderMap reads the fields of a HeaderMap message; false: protobuf must.
func readHeaderMap(text []byte) ([]*corev3.HeaderValue, bool) {
	count := 0
	for at := 0; at < len(text); count++ {
		number, _, to := bytesField(text, at)
		if number != headerMapHeaders {
			return nil, false
		}
		at = to
	}
	names, values := string(text), bytes.Clone(text)
	fields, list := make([]corev3.HeaderValue, count), make([]*corev3.HeaderValue, count)
	at := 0
	for i := range fields {
		_, begin, end := bytesField(text, at)
		for at = begin; at < end; {
			number, from, to := bytesField(text[:end], at)
			switch {
			case number == headerKey && utf8.ValidString(names[from:to]):
				fields[i].Key = names[from:to]
			case number == headerRaw:
				fields[i].RawValue = values[from:to:to]
			default:
				return nil, false
			}
			at = to
		}
		list[i] = &fields[i]
	}
	return list, true
}

// bytesField is the number of the bytes field that begins at an offset of a
// message, and where its content is: text[from:to]. 0: no such field begins there.
func bytesField(text []byte, at int) (number protowire.Number, from, to int) {
	number, kind, tag := protowire.ConsumeTag(text[at:])
	if tag < 0 || kind != protowire.BytesType {
		return 0, 0, 0
	}
	content, size := protowire.ConsumeBytes(text[at+tag:])
	if size < 0 {
		return 0, 0, 0
	}
	to = at + tag + size
	return number, to - len(content), to
}
