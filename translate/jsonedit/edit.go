package jsonedit

import (
	"bytes"
	"math"

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
	t := text{out: make([]byte, 0, len(o.src)+e.growth()), shareFrom: math.MaxInt}
	o.write(&t, e)
	return t.out
}

// shareFrom is from which length on a stretch of the source is worth a piece of
// its own, in bytes.
const shareFrom = 16 << 10

// ApplyLarge is Apply in pieces that follow one another. Long stretches of the
// source that do not change are shared with it, not copied: no piece may be
// changed. There is at least one.
func (o *Object) ApplyLarge(e *Edits) [][]byte {
	if len(o.src) < shareFrom || e.idle(o) {
		return [][]byte{o.Apply(e)}
	}
	t := text{shareFrom: shareFrom}
	o.write(&t, e)
	t.cut()
	return t.pieces
}

func (o *Object) write(t *text, e *Edits) {
	t.share(o.src[:o.open])
	first := true
	for _, m := range o.members {
		change := e.find(m.Name)
		if change != nil && change.value == nil && !change.keep {
			continue
		}
		t.separate(&first)
		o.writeMember(t, m, change)
	}
	for _, c := range e.list {
		if c.value == nil || o.Has(c.name) {
			continue
		}
		t.separate(&first)
		t.name(c.name)
		t.share(c.value)
	}
	t.share(o.src[o.tail():])
}

func (o *Object) writeMember(t *text, m Member, change *edit) {
	switch {
	case change == nil:
		t.share(o.src[m.start:m.end])
	case change.keep:
		t.name(change.to)
		t.share(o.src[m.value:m.end])
	default:
		t.share(o.src[m.start:m.value])
		t.share(change.value)
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

// text is an edited text under construction.
type text struct {
	pieces    [][]byte // before what is in out from cutAt on
	out       []byte
	cutAt     int
	shareFrom int // from which length on a stretch becomes a piece of its own
}

// share adds a stretch that is not changed afterwards: a copy of it, or itself.
func (t *text) share(stretch []byte) {
	if len(stretch) < t.shareFrom {
		t.out = append(t.out, stretch...)
		return
	}
	t.cut()
	t.pieces = append(t.pieces, stretch)
}

// cut ends a piece.
func (t *text) cut() {
	if len(t.out) > t.cutAt {
		t.pieces = append(t.pieces, t.out[t.cutAt:len(t.out):len(t.out)])
		t.cutAt = len(t.out)
	}
}

func (t *text) name(name string) {
	t.out = append(AppendString(t.out, name), ':')
}

func (t *text) separate(first *bool) {
	if !*first {
		t.out = append(t.out, ',')
	}
	*first = false
}

// AppendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	// AppendQuote reports invalid UTF-8 and still writes the replacement.
	out, _ := jsontext.AppendQuote(dst, s)
	return out
}
