package wire

import (
	"math"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// Metadata is dynamic metadata for Envoy: the fields of a google.protobuf.Struct
// in wire form. It is written directly, since every request carries some, and
// structpb's maps of pointers cost more to build and encode than the rest of an
// answer. The zero value is empty; like append, each method returns the longer one.
type Metadata []byte

// Field numbers of google/protobuf/struct.proto.
const (
	structFields = 1 // Struct.fields, a map: entries of key 1 and value 2
	entryKey     = 1
	entryValue   = 2
	valueNumber  = 2 // Value.number_value
	valueText    = 3 // Value.string_value
	valueStruct  = 5 // Value.struct_value
	valueList    = 6 // Value.list_value
	listValues   = 1 // ListValue.values
)

// Text adds a string. Envoy refuses a whole message for one that is no UTF-8.
func (m Metadata) Text(name, value string) Metadata {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	inner := protowire.SizeTag(valueText) + protowire.SizeBytes(len(value))
	m = m.entry(name, inner)
	m = protowire.AppendTag(m, valueText, protowire.BytesType)
	return protowire.AppendString(m, value)
}

// Number adds a number.
func (m Metadata) Number(name string, value float64) Metadata {
	m = m.entry(name, protowire.SizeTag(valueNumber)+protowire.SizeFixed64())
	m = protowire.AppendTag(m, valueNumber, protowire.Fixed64Type)
	return protowire.AppendFixed64(m, math.Float64bits(value))
}

// Object adds an object with these fields.
func (m Metadata) Object(name string, fields Metadata) Metadata {
	return m.nested(name, valueStruct, fields)
}

// List adds a list; items are made by Item.
func (m Metadata) List(name string, items Metadata) Metadata {
	return m.nested(name, valueList, items)
}

// Item adds an object to the inside of a list.
func (m Metadata) Item(fields Metadata) Metadata {
	m = protowire.AppendTag(m, listValues, protowire.BytesType)
	m = protowire.AppendVarint(m, uint64(protowire.SizeTag(valueStruct)+protowire.SizeBytes(len(fields))))
	m = protowire.AppendTag(m, valueStruct, protowire.BytesType)
	return protowire.AppendBytes(m, fields)
}

func (m Metadata) nested(name string, kind protowire.Number, content Metadata) Metadata {
	m = m.entry(name, protowire.SizeTag(kind)+protowire.SizeBytes(len(content)))
	m = protowire.AppendTag(m, kind, protowire.BytesType)
	return protowire.AppendBytes(m, content)
}

// entry begins a map entry whose Value takes size bytes, which must follow.
func (m Metadata) entry(name string, size int) Metadata {
	m = protowire.AppendTag(m, structFields, protowire.BytesType)
	length := protowire.SizeTag(entryKey) + protowire.SizeBytes(len(name)) + protowire.SizeTag(entryValue) + protowire.SizeBytes(size)
	m = protowire.AppendVarint(m, uint64(length))
	m = protowire.AppendTag(m, entryKey, protowire.BytesType)
	m = protowire.AppendString(m, name)
	m = protowire.AppendTag(m, entryValue, protowire.BytesType)
	return protowire.AppendVarint(m, uint64(size))
}

// proto is the message that carries the metadata; nil for none.
func (m Metadata) proto() *structpb.Struct {
	if len(m) == 0 {
		return nil
	}
	s := &structpb.Struct{}
	s.ProtoReflect().SetUnknown(protoreflect.RawFields(m)) // encoded as it stands
	return s
}
