package jsonedit

import "github.com/go-json-experiment/json/jsontext"

// AppendName appends the name of the next member of an object that is being
// written, with its colon, and a comma before it unless it is the first. The
// text so far must end inside that object.
func AppendName(dst []byte, name string) []byte {
	dst = AppendComma(dst)
	dst = AppendString(dst, name)
	return append(dst, ':')
}

// AppendMember appends the next member of an object that is being written. The
// value must be valid JSON and is copied as it is.
func AppendMember(dst []byte, name string, value jsontext.Value) []byte {
	return append(AppendName(dst, name), value...)
}

// AppendStrings appends an array of strings.
func AppendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for _, s := range list {
		dst = AppendString(AppendComma(dst), s)
	}
	return append(dst, ']')
}

// AppendComma appends the comma before the next element of an array or member
// of an object that is being written, unless it is the first.
func AppendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}
