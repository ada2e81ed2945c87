package jsonedit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Object is one validated JSON object and the place of each top-level member.
// It keeps the text it was parsed from and is safe for concurrent reading.
type Object struct {
	src     []byte
	open    int // offset just after '{'
	members []Member
}

// Member is one top-level name and its value, as offsets into the source text.
type Member struct {
	Name  string
	start int // just after the '{' or ',' before the name
	value int // first byte of the value
	end   int // just after the value
}

// SyntaxError says where and why a text is not one strict JSON object.
type SyntaxError struct {
	Offset  int64  // bytes from the start of the text
	Line    int    // 1-based
	Column  int    // 1-based, in bytes
	Pointer string // JSON pointer of the value being read; "" at the top
	Reason  string
}

func (e *SyntaxError) Error() string {
	where := fmt.Sprintf("line %d column %d (byte %d)", e.Line, e.Column, e.Offset)
	if e.Pointer != "" {
		where += " at " + e.Pointer
	}
	return e.Reason + ", " + where
}

// Parse validates src strictly (RFC 8259 in UTF-8, no duplicate names at any
// depth, nothing after the object) and finds its top-level members. The Object
// refers to src, which must not be changed afterwards. The error is always a
// *SyntaxError.
func Parse(src []byte) (*Object, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(src))
	if kind := dec.PeekKind(); kind != '{' {
		if kind == 0 {
			_, err := dec.ReadToken()
			return nil, syntaxError(src, dec, err)
		}
		return nil, newSyntaxError(src, dec.InputOffset(), "", "the body must be a JSON object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntaxError(src, dec, err)
	}
	o := &Object{src: src, open: int(dec.InputOffset()), members: make([]Member, 0, 12)}
	for dec.PeekKind() != '}' {
		m, err := readMember(src, dec)
		if err != nil {
			return nil, syntaxError(src, dec, err)
		}
		o.members = append(o.members, m)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, syntaxError(src, dec, err)
	}
	end := dec.InputOffset()
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, newSyntaxError(src, end, "", "text after the JSON object")
	}
	return o, nil
}

func readMember(src []byte, dec *jsontext.Decoder) (Member, error) {
	before := int(dec.InputOffset())
	name, err := dec.ReadToken()
	if err != nil {
		return Member{}, err
	}
	m := Member{Name: name.String(), start: before}
	if before < len(src) {
		// The decoder stops before the comma; the member starts after it.
		if i := leadingComma(src[before:]); i >= 0 {
			m.start = before + i + 1
		}
	}
	value, err := dec.ReadValue()
	if err != nil {
		return Member{}, err
	}
	m.end = int(dec.InputOffset())
	m.value = m.end - len(value)
	return m, nil
}

// leadingComma returns the offset of a comma preceded by white space only, or -1.
func leadingComma(text []byte) int {
	for i, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
		case ',':
			return i
		default:
			return -1
		}
	}
	return -1
}

// Source returns the text the Object was parsed from. It must not be changed.
func (o *Object) Source() []byte { return o.src }

// Members returns the top-level members in order. It must not be changed.
func (o *Object) Members() []Member { return o.members }

// Value returns the text of m's value, a part of the source.
func (o *Object) Value(m Member) jsontext.Value { return jsontext.Value(o.src[m.value:m.end]) }

// Get returns the value of the named member, a part of the source.
func (o *Object) Get(name string) (jsontext.Value, bool) {
	for i := range o.members {
		if o.members[i].Name == name {
			return o.Value(o.members[i]), true
		}
	}
	return nil, false
}

// Has reports whether the object has the named member.
func (o *Object) Has(name string) bool {
	_, ok := o.Get(name)
	return ok
}

func syntaxError(src []byte, dec *jsontext.Decoder, err error) *SyntaxError {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		reason := "invalid JSON"
		if syn.Err != nil {
			reason = syn.Err.Error()
		}
		return newSyntaxError(src, syn.ByteOffset, string(syn.JSONPointer), reason)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return newSyntaxError(src, int64(len(src)), "", "the JSON text ends too early")
	}
	return newSyntaxError(src, dec.InputOffset(), "", err.Error())
}

func newSyntaxError(src []byte, offset int64, pointer, reason string) *SyntaxError {
	offset = min(offset, int64(len(src)))
	head := src[:offset]
	return &SyntaxError{
		Offset:  offset,
		Line:    bytes.Count(head, []byte{'\n'}) + 1,
		Column:  len(head) - bytes.LastIndexByte(head, '\n'),
		Pointer: pointer,
		Reason:  reason,
	}
}
