package jsonedit

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Edits is a set of changes to the top-level members of an [Object]. The zero
// value changes nothing. Later calls for the same name replace earlier ones.
type Edits struct{ list []edit }

type edit struct {
	name  string
	value jsontext.Value // nil: delete
	to    string         // new name; "" keeps the name
	keep  bool           // keep the value, only the name changes
}

// Set gives the named member this value, in its place or, when absent, at the
// end. The value must be valid JSON.
func (e *Edits) Set(name string, value jsontext.Value) { e.put(edit{name: name, value: value}) }

// SetString is Set with a Go string.
func (e *Edits) SetString(name, value string) {
	e.Set(name, AppendString(nil, value))
}

// Delete removes the named member; an absent one is no error.
func (e *Edits) Delete(name string) { e.put(edit{name: name}) }

// Rename gives the named member another name and keeps its value and place. The
// new name must not exist.
func (e *Edits) Rename(name, to string) { e.put(edit{name: name, to: to, keep: true}) }

// Touches reports whether the named member is changed by e.
func (e *Edits) Touches(name string) bool { return e.find(name) != nil }

// Value returns the value the named member was set to by e.
func (e *Edits) Value(name string) (jsontext.Value, bool) {
	if c := e.find(name); c != nil && c.value != nil {
		return c.value, true
	}
	return nil, false
}

func (e *Edits) put(next edit) {
	if old := e.find(next.name); old != nil {
		*old = next
		return
	}
	if e.list == nil {
		e.list = make([]edit, 0, 8) // most bodies need a few
	}
	e.list = append(e.list, next)
}

func (e *Edits) find(name string) *edit {
	for i := range e.list {
		if e.list[i].name == name {
			return &e.list[i]
		}
	}
	return nil
}

// Apply returns the object's text with the edits made and everything else as it
// was. When the edits change nothing it returns the source itself, which must
// not be changed.
func (o *Object) Apply(e *Edits) []byte {
	if e.idle(o) {
		return o.src
	}
	out := make([]byte, 0, len(o.src)+e.growth())
	out = append(out, o.src[:o.open]...)
	first := true
	for _, m := range o.members {
		change := e.find(m.Name)
		if change != nil && change.value == nil && !change.keep {
			continue
		}
		out = separate(out, &first)
		out = o.appendMember(out, m, change)
	}
	for _, c := range e.list {
		if c.value == nil || o.Has(c.name) {
			continue
		}
		out = separate(out, &first)
		out = AppendString(out, c.name)
		out = append(out, ':')
		out = append(out, c.value...)
	}
	return append(out, o.src[o.tail():]...)
}

func (o *Object) appendMember(out []byte, m Member, change *edit) []byte {
	switch {
	case change == nil:
		return append(out, o.src[m.start:m.end]...)
	case change.keep:
		out = AppendString(out, change.to)
		out = append(out, ':')
		return append(out, o.src[m.value:m.end]...)
	default:
		out = append(out, o.src[m.start:m.value]...)
		return append(out, change.value...)
	}
}

// tail is where the text after the last member begins.
func (o *Object) tail() int {
	if n := len(o.members); n > 0 {
		return o.members[n-1].end
	}
	return o.open
}

// idle reports whether e changes nothing of o.
func (e *Edits) idle(o *Object) bool {
	for _, c := range e.list {
		now, has := o.Get(c.name)
		if !has && (c.value == nil || c.keep) {
			continue // nothing to delete, nothing to rename
		}
		if !has || c.value == nil || !bytes.Equal(now, c.value) {
			return false
		}
	}
	return true
}

func (e *Edits) growth() int {
	n := 0
	for _, c := range e.list {
		n += len(c.name) + len(c.to) + len(c.value) + 8
	}
	return n
}

func separate(out []byte, first *bool) []byte {
	if *first {
		*first = false
		return out
	}
	return append(out, ',')
}

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	// AppendQuote reports invalid UTF-8 and still writes the replacement.
	out, _ := jsontext.AppendQuote(dst, s)
	return out
}
