package cache

import "github.com/isthmus-proxy/isthmus/translate/jsonedit"

// isNull reports whether a value is absent or null.
func isNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// inside returns the inside of a string value, and false for any other kind.
func inside(v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '"' {
		return nil, false
	}
	return v[1 : len(v)-1], true
}

// count is the number of elements of an array, 0 for anything else.
func count(v []byte) int {
	s := jsonedit.NewCursor(v, 0)
	if s.Kind() != '[' {
		return 0
	}
	n := 0
	for s.Open(); s.More(); n++ {
		s.Value()
	}
	return n
}
