package wire

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// HeaderMutation is a set of header changes, kept as the wire form of Envoy's
// message of that name: each request has two with some fifteen headers each, and as
// messages they would be most of what a request allocates. The zero value is empty
// and usable. Names are in lower case.
type HeaderMutation struct {
	// Present are the headers that are known to be there before the mutation: what is
	// as it should be is not written. nil: nothing is known.
	Present upstream.Header

	wire  []byte
	names []string // those that are set
}

// Field numbers of envoy/service/ext_proc/v3 and envoy/config/core/v3.
const (
	mutationSet    = 1 // HeaderMutation.set_headers: HeaderValueOption
	mutationRemove = 2 // HeaderMutation.remove_headers
	optionHeader   = 1 // HeaderValueOption.header: HeaderValue
	optionAction   = 3 // HeaderValueOption.append_action
	headerKey      = 1 // HeaderValue.key
	headerRaw      = 3 // HeaderValue.raw_value

	headerMapHeaders = 1 // HeaderMap.headers: HeaderValue
)

// grow allocates for the headers of most mutations.
func (m *HeaderMutation) grow() {
	if m.wire == nil {
		m.wire, m.names = make([]byte, 0, 1024), make([]string, 0, 16)
	}
}

// Set sets a header, replacing what is there.
func (m *HeaderMutation) Set(name, value string) {
	m.grow()
	right := m.isRight(name, value)
	m.names = append(m.names, name)
	if right {
		return
	}
	const action = uint64(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	header := protowire.SizeTag(headerKey) + protowire.SizeBytes(len(name)) +
		protowire.SizeTag(headerRaw) + protowire.SizeBytes(len(value))
	option := protowire.SizeTag(optionHeader) + protowire.SizeBytes(header) + protowire.SizeTag(optionAction) + protowire.SizeVarint(action)
	w := protowire.AppendTag(m.wire, mutationSet, protowire.BytesType)
	w = protowire.AppendVarint(w, uint64(option))
	w = protowire.AppendTag(w, optionHeader, protowire.BytesType)
	w = protowire.AppendVarint(w, uint64(header))
	w = protowire.AppendTag(w, headerKey, protowire.BytesType)
	w = protowire.AppendString(w, name)
	w = protowire.AppendTag(w, headerRaw, protowire.BytesType)
	w = protowire.AppendString(w, value)
	w = protowire.AppendTag(w, optionAction, protowire.VarintType)
	m.wire = protowire.AppendVarint(w, action)
}

// isRight reports whether a header is present once, with this value, and was not
// set otherwise before.
func (m *HeaderMutation) isRight(name, value string) bool {
	count, same := 0, false
	for i := range m.Present {
		if m.Present[i].Name == name {
			count++
			same = m.Present[i].Value == value
		}
	}
	return count == 1 && same && !m.IsSet(name)
}

// SetAll sets each header of the list.
func (m *HeaderMutation) SetAll(header upstream.Header) {
	for _, f := range header {
		m.Set(f.Name, f.Value)
	}
}

// Remove removes a header.
func (m *HeaderMutation) Remove(name string) {
	m.grow()
	m.wire = protowire.AppendTag(m.wire, mutationRemove, protowire.BytesType)
	m.wire = protowire.AppendString(m.wire, name)
}

// RemoveOthers removes what is present, is not set and is not to be kept.
func (m *HeaderMutation) RemoveOthers(present upstream.Header, keep func(name string) bool) {
	for _, f := range present {
		if !keep(f.Name) && !m.IsSet(f.Name) {
			m.Remove(f.Name)
		}
	}
}

// IsSet reports whether the mutation sets the header.
func (m *HeaderMutation) IsSet(name string) bool { return slices.Contains(m.names, name) }

// appendTo returns to with this mutation behind it, which wins; to may be nil and
// is changed. That protobuf writes unknown fields last, in their order, is relied on.
func (m *HeaderMutation) appendTo(to *extprocv3.HeaderMutation) *extprocv3.HeaderMutation {
	if to == nil {
		return m.proto()
	}
	raw := to.ProtoReflect()
	raw.SetUnknown(append(slices.Clip(raw.GetUnknown()), m.wire...))
	return to
}

// proto is the message that carries the mutation; nil for none, or for a nil m.
func (m *HeaderMutation) proto() *extprocv3.HeaderMutation {
	if m == nil || len(m.wire) == 0 {
		return nil
	}
	out := &extprocv3.HeaderMutation{}
	out.ProtoReflect().SetUnknown(protoreflect.RawFields(m.wire)) // encoded as it stands
	return out
}
