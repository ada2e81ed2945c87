package extproc

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// headerEdit is a set of header changes, kept as the wire form of a
// HeaderMutation: each request has two with some fifteen headers each, and as
// messages they would be most of what a request allocates. The zero value is
// empty and usable.
type headerEdit struct {
	present upstream.Header // what is known to be there before the edit
	wire    []byte
	names   []string // those that are put
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

// begin makes room for the headers of most edits.
func (e *headerEdit) begin() {
	if e.wire == nil {
		e.wire, e.names = make([]byte, 0, 1024), make([]string, 0, 16)
	}
}

// put sets a header, replacing what is there. What is as it should be need not be
// written.
func (e *headerEdit) put(name, value string) {
	e.begin()
	right := e.isRight(name, value)
	e.names = append(e.names, name)
	if right {
		return
	}
	const action = uint64(corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	header := protowire.SizeTag(headerKey) + protowire.SizeBytes(len(name)) + protowire.SizeTag(headerRaw) + protowire.SizeBytes(len(value))
	option := protowire.SizeTag(optionHeader) + protowire.SizeBytes(header) + protowire.SizeTag(optionAction) + protowire.SizeVarint(action)
	w := protowire.AppendTag(e.wire, mutationSet, protowire.BytesType)
	w = protowire.AppendVarint(w, uint64(option))
	w = protowire.AppendTag(w, optionHeader, protowire.BytesType)
	w = protowire.AppendVarint(w, uint64(header))
	w = protowire.AppendTag(w, headerKey, protowire.BytesType)
	w = protowire.AppendString(w, name)
	w = protowire.AppendTag(w, headerRaw, protowire.BytesType)
	w = protowire.AppendString(w, value)
	w = protowire.AppendTag(w, optionAction, protowire.VarintType)
	e.wire = protowire.AppendVarint(w, action)
}

// isRight reports whether a header is present once, with this value, and not put
// otherwise before.
func (e *headerEdit) isRight(name, value string) bool {
	count, same := 0, false
	for i := range e.present {
		if e.present[i].Name == name {
			count++
			same = e.present[i].Value == value
		}
	}
	return count == 1 && same && !e.sets(name)
}

// putAll sets each header of the list.
func (e *headerEdit) putAll(header upstream.Header) {
	for _, f := range header {
		e.put(f.Name, f.Value)
	}
}

// drop removes a header.
func (e *headerEdit) drop(name string) {
	e.begin()
	e.wire = protowire.AppendTag(e.wire, mutationRemove, protowire.BytesType)
	e.wire = protowire.AppendString(e.wire, name)
}

// dropOthers removes what is present, is not put and need not stay.
func (e *headerEdit) dropOthers(present upstream.Header, stays func(name string) bool) {
	for _, f := range present {
		if !stays(f.Name) && !e.sets(f.Name) {
			e.drop(f.Name)
		}
	}
}

// sets reports whether the edit puts a value to the header.
func (e *headerEdit) sets(name string) bool { return slices.Contains(e.names, name) }

// joined is a mutation with this edit behind it. It may be nil.
func (e *headerEdit) joined(m *extprocv3.HeaderMutation) *extprocv3.HeaderMutation {
	if m == nil {
		return e.mutation()
	}
	raw := m.ProtoReflect()
	raw.SetUnknown(append(slices.Clip(raw.GetUnknown()), e.wire...))
	return m
}

// mutation is the message that carries the edit; nil for none.
func (e *headerEdit) mutation() *extprocv3.HeaderMutation {
	if e == nil || len(e.wire) == 0 {
		return nil
	}
	m := &extprocv3.HeaderMutation{}
	m.ProtoReflect().SetUnknown(protoreflect.RawFields(e.wire)) // encoded as it stands
	return m
}
