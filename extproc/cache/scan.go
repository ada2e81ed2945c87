package cache

import (
	"bytes"
	"iter"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner walks JSON text that has been found valid before. It checks nothing
// twice: on text that is not valid it may read nonsense, but it never reads
// outside the text and always moves forward.
type scanner struct {
	src []byte
	at  int
}

// kind skips white space and returns the first byte of the next value, 0 at the
// end of the text.
func (s *scanner) kind() byte {
	for s.at < len(s.src) {
		switch c := s.src[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// open enters an object or array that begins here.
func (s *scanner) open() { s.at++ }

// more reports whether the object or array has another element; it steps over
// the comma before it, or over the closing bracket.
func (s *scanner) more() bool {
	c := s.kind()
	if c == ',' {
		s.at++
		c = s.kind()
	}
	if c == '}' || c == ']' || c == 0 {
		s.at = min(s.at+1, len(s.src))
		return false
	}
	return true
}

// name reads a member's name and its colon; the result is without quotes and
// may hold escapes.
func (s *scanner) name() []byte {
	name, _ := s.text()
	if s.kind() == ':' {
		s.at++
	}
	return name
}

// text reads a string and returns what is between its quotes, and whether that
// holds escapes.
func (s *scanner) text() (inside []byte, escaped bool) {
	s.kind()
	start := min(s.at+1, len(s.src))
	for i, quote := start, -1; ; {
		if quote < i {
			n := bytes.IndexByte(s.src[i:], '"')
			if n < 0 {
				s.at = len(s.src)
				return s.src[start:], true
			}
			quote = i + n
		}
		b := bytes.IndexByte(s.src[i:quote], '\\')
		if b < 0 {
			s.at = quote + 1
			return s.src[start:quote], escaped
		}
		escaped = true
		i += b + 2 // over the backslash and what it escapes, perhaps the quote
	}
}

// value reads a whole value and returns its text.
func (s *scanner) value() []byte {
	c := s.kind()
	start := s.at
	switch c {
	case '"':
		s.text()
	case '{', '[':
		s.nested()
	default:
		s.at = min(s.at+1, len(s.src))
		for s.at < len(s.src) && !delimits(s.src[s.at]) {
			s.at++
		}
	}
	return s.src[start:s.at]
}

func (s *scanner) nested() {
	for depth := 0; s.at < len(s.src); {
		switch s.src[s.at] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
}

func delimits(c byte) bool {
	switch c {
	case ',', ']', '}', ':', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// members returns the members of an object, names without their quotes and
// perhaps with escapes; none for any other value.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		s := scanner{src: object}
		if s.kind() != '{' {
			return
		}
		for s.open(); s.more(); {
			if name := s.name(); !yield(name, s.value()) {
				return
			}
		}
	}
}

// elements returns the elements of an array; none for any other value.
func elements(array []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		s := scanner{src: array}
		if s.kind() != '[' {
			return
		}
		i := 0
		for s.open(); s.more(); i++ {
			if !yield(i, s.value()) {
				return
			}
		}
	}
}

// isNull reports whether a value is absent or null.
func isNull(v []byte) bool { return len(v) == 0 || v[0] == 'n' }

// inside returns the inside of a string value, and false for any other kind.
func inside(v []byte) ([]byte, bool) {
	if len(v) < 2 || v[0] != '"' {
		return nil, false
	}
	return v[1 : len(v)-1], true
}

// appendUnescaped appends a string's inside without its escapes. A surrogate
// that stands alone becomes U+FFFD.
func appendUnescaped(dst, text []byte) []byte {
	for len(text) > 0 {
		i := bytes.IndexByte(text, '\\')
		if i < 0 || i+1 >= len(text) {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		size := 2
		switch c := text[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			var r rune
			r, size = unicodeEscape(text[i:])
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
		text = text[i+size:]
	}
	return dst
}

// unicodeEscape reads \uXXXX, or two of them that are one character.
func unicodeEscape(text []byte) (rune, int) {
	r, ok := hex4(text)
	if !ok {
		return utf8.RuneError, min(6, len(text))
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(text[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

func hex4(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
