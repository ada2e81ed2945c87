package extproc

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/isthmus-proxy/isthmus/envoy/names"
	"github.com/isthmus-proxy/isthmus/routing"
)

// metadata is dynamic metadata for Envoy: the fields of a google.protobuf.Struct
// in wire form. It is written directly, since every request carries some, and
// structpb's maps of pointers cost more to build and encode than the rest of an
// answer. The zero value is empty.
type metadata []byte

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

// text adds a string. Envoy refuses a whole message for one that is no UTF-8.
func (m metadata) text(name, value string) metadata {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	inner := protowire.SizeTag(valueText) + protowire.SizeBytes(len(value))
	m = m.entry(name, inner)
	m = protowire.AppendTag(m, valueText, protowire.BytesType)
	return protowire.AppendString(m, value)
}

// number adds a number.
func (m metadata) number(name string, value float64) metadata {
	m = m.entry(name, protowire.SizeTag(valueNumber)+protowire.SizeFixed64())
	m = protowire.AppendTag(m, valueNumber, protowire.Fixed64Type)
	return protowire.AppendFixed64(m, math.Float64bits(value))
}

// object adds an object with these fields.
func (m metadata) object(name string, fields metadata) metadata {
	return m.nested(name, valueStruct, fields)
}

// list adds a list; items are made by item.
func (m metadata) list(name string, items metadata) metadata {
	return m.nested(name, valueList, items)
}

// item adds an object to the inside of a list.
func (m metadata) item(fields metadata) metadata {
	m = protowire.AppendTag(m, listValues, protowire.BytesType)
	m = protowire.AppendVarint(m, uint64(protowire.SizeTag(valueStruct)+protowire.SizeBytes(len(fields))))
	m = protowire.AppendTag(m, valueStruct, protowire.BytesType)
	return protowire.AppendBytes(m, fields)
}

func (m metadata) nested(name string, kind protowire.Number, content metadata) metadata {
	m = m.entry(name, protowire.SizeTag(kind)+protowire.SizeBytes(len(content)))
	m = protowire.AppendTag(m, kind, protowire.BytesType)
	return protowire.AppendBytes(m, content)
}

// entry begins a map entry whose Value takes size bytes, which must follow.
func (m metadata) entry(name string, size int) metadata {
	m = protowire.AppendTag(m, structFields, protowire.BytesType)
	m = protowire.AppendVarint(m, uint64(protowire.SizeTag(entryKey)+protowire.SizeBytes(len(name))+protowire.SizeTag(entryValue)+protowire.SizeBytes(size)))
	m = protowire.AppendTag(m, entryKey, protowire.BytesType)
	m = protowire.AppendString(m, name)
	m = protowire.AppendTag(m, entryValue, protowire.BytesType)
	return protowire.AppendVarint(m, uint64(size))
}

// proto is the message that carries the metadata; nil for none.
func (m metadata) proto() *structpb.Struct {
	if len(m) == 0 {
		return nil
	}
	s := &structpb.Struct{}
	s.ProtoReflect().SetUnknown(protoreflect.RawFields(m)) // encoded as it stands
	return s
}

// planMetadata is a plan as the priority_group specifier reads it: group i is
// attempt i+1, past attempts included.
func planMetadata(plan *routing.Plan) metadata {
	groups := make(metadata, 0, 112*(len(plan.Hops)+1))
	var memory groupMemory
	for i := range plan.Hops {
		groups = groups.group(i, plan.Hops[i].Deployment.Cluster, &memory)
	}
	groups = groups.group(len(plan.Hops), names.EndCluster, &memory)
	return make(metadata, 0, len(groups)+64).list("priority_groups", groups)
}

// groupMemory is where the parts of one group are written, used again for the
// next: the list of its clusters, the one cluster, and the group.
type groupMemory struct{ cluster, clusters, group [192]byte }

// group adds the group of attempt i+1.
func (m metadata) group(i int, cluster string, memory *groupMemory) metadata {
	member := metadata(memory.cluster[:0]).text("cluster_name", cluster).number("weight", 1)
	clusters := metadata(memory.clusters[:0]).item(member)
	name := strconv.AppendInt(append(make([]byte, 0, 16), "attempt-"...), int64(i+1), 10)
	return m.item(metadata(memory.group[:0]).text("name", string(name)).list("clusters", clusters))
}
