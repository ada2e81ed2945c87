package jsonedit

import (
	"bytes"
	"iter"

	"github.com/go-json-experiment/json/jsontext"
)

// MapArray rewrites the elements of a JSON array one by one and returns the
// array; f returns its argument for an element that stays. When nothing changes
// the result is array itself. A value that is no array comes back unchanged.
func MapArray(array jsontext.Value, f func(jsontext.Value) (jsontext.Value, error)) (jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(array))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '[' {
		return array, err
	}
	var out []byte // nil until the first change
	copied := 0    // array[:copied] is in out
	for dec.PeekKind() != ']' {
		element, err := dec.ReadValue()
		if err != nil {
			return array, err
		}
		end := int(dec.InputOffset())
		changed, err := f(element)
		if err != nil {
			return array, err
		}
		if sameMemory(element, changed) {
			continue
		}
		out = append(out, array[copied:end-len(element)]...)
		out = append(out, changed...)
		copied = end
	}
	if copied == 0 {
		return array, nil
	}
	return append(out, array[copied:]...), nil
}

func sameMemory(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// Elements returns the elements of a valid JSON array in order, as parts of its
// text. It does not validate: of what is no array it returns anything, or nothing.
func Elements(array jsontext.Value) iter.Seq[jsontext.Value] {
	return func(yield func(jsontext.Value) bool) {
		start := bytes.IndexByte(array, '[') + 1
		depth := 0 // inside an element
		for i := start; i < len(array); i++ {
			switch c := array[i]; {
			case c == '"':
				end := stringEnd(array, i+1)
				if end < 0 {
					return
				}
				i = end
			case c == '[' || c == '{':
				depth++
			case depth > 0 && (c == ']' || c == '}'):
				depth--
			case depth == 0 && (c == ',' || c == ']'):
				element := bytes.TrimSpace(array[start:i])
				if len(element) > 0 && !yield(element) || c == ']' {
					return
				}
				start = i + 1
			}
		}
	}
}

// Find returns the offset of the value of the first member with this name, at
// any depth, or -1. It looks at bytes only: text must be valid JSON and the name
// must not need escapes. A name inside a string never matches, for its quotes
// are escaped there.
func Find(text []byte, name string) int {
	quoted := make([]byte, 0, 64)
	quoted = append(append(append(quoted, '"'), name...), '"')
	for at := 0; ; {
		i := bytes.Index(text[at:], quoted)
		if i < 0 {
			return -1
		}
		i += at
		at = i + len(quoted)
		value := skipSpace(text, at)
		if value < len(text) && text[value] == ':' && (i == 0 || text[i-1] != '\\') {
			return skipSpace(text, value+1)
		}
	}
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// FilterArray removes the elements of a JSON array that keep refuses. When all
// stay, the result is array itself. A value that is no array comes back
// unchanged.
func FilterArray(array jsontext.Value, keep func(jsontext.Value) bool) (jsontext.Value, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(array))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '[' {
		return array, err
	}
	out := make([]byte, 0, len(array))
	out = append(out, '[')
	all := true
	for dec.PeekKind() != ']' {
		element, err := dec.ReadValue()
		if err != nil {
			return array, err
		}
		if !keep(element) {
			all = false
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, element...)
	}
	if all {
		return array, nil
	}
	return append(out, ']'), nil
}
