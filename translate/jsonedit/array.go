package jsonedit

import (
	"bytes"

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
