package jsonedit

import (
	"bytes"
	"iter"
)

// Cursor walks JSON text that has been found valid before. It checks nothing
// twice: on text that is not valid it may return nonsense, but it never reads
// outside the text, and a walk always ends. It allocates nothing; what it returns
// are parts of the text, which must not be changed and may be appended to. A copy
// of a Cursor looks ahead. Not safe for concurrent use.
//
//	for c.Open(); c.More(); { // an object or array, whose first byte Kind has told
//		name, value := c.Name(), c.Value()
//	}
type Cursor struct {
	src []byte
	at  int
}

// NewCursor returns a Cursor before the value that begins at this offset, or after
// white space there.
func NewCursor(text []byte, at int) Cursor { return Cursor{src: text, at: at} }

// Offset is where the cursor stands: just after the value that was read last.
func (c *Cursor) Offset() int { return c.at }

// Kind skips white space and returns the first byte of the next value, 0 at the
// end of the text.
func (c *Cursor) Kind() byte {
	for c.at < len(c.src) {
		switch b := c.src[c.at]; b {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return b
		}
	}
	return 0
}

// Open enters the object or array that begins here.
func (c *Cursor) Open() { c.at++ }

// More reports whether the object or array has another element; it steps over the
// comma before it, or over the closing bracket.
func (c *Cursor) More() bool {
	b := c.Kind()
	if b == ',' {
		c.at++
		b = c.Kind()
	}
	if b == '}' || b == ']' || b == 0 {
		c.at = min(c.at+1, len(c.src))
		return false
	}
	return true
}

// Name reads a member's name and its colon. The result is without its quotes and
// may hold escapes.
func (c *Cursor) Name() []byte {
	name := c.Text()
	if c.Kind() == ':' {
		c.at++
	}
	return name
}

// Text reads a string and returns what is between its quotes, escapes and all: see
// [AppendUnescaped].
func (c *Cursor) Text() []byte {
	c.Kind()
	start := min(c.at+1, len(c.src))
	end := stringEnd(c.src, start)
	if end < 0 {
		c.at = len(c.src)
		return c.src[start:]
	}
	c.at = end + 1
	return c.src[start:end:end]
}

// Value reads a whole value and returns its text.
func (c *Cursor) Value() []byte {
	kind := c.Kind()
	start := c.at
	switch kind {
	case '"':
		c.Text()
	case '{', '[':
		c.nested()
	default:
		c.at = min(c.at+1, len(c.src))
		for c.at < len(c.src) && !delimits(c.src[c.at]) {
			c.at++
		}
	}
	return c.src[start:c.at:c.at]
}

// nested reads an object or array.
func (c *Cursor) nested() {
	for depth := 0; c.at < len(c.src); {
		switch c.src[c.at] {
		case '"':
			c.Text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		c.at++
		if depth == 0 {
			return
		}
	}
}

// delimits reports whether a byte ends a number or a literal.
func delimits(b byte) bool {
	switch b {
	case ',', ']', '}', ':', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// Members returns the members of a valid JSON object in order, as parts of its
// text; names are without their quotes and may hold escapes. Any other value has
// none.
func Members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		c := NewCursor(object, 0)
		if c.Kind() != '{' {
			return
		}
		for c.Open(); c.More(); {
			if name := c.Name(); !yield(name, c.Value()) {
				return
			}
		}
	}
}

// Elements returns the elements of a valid JSON array in order, as parts of its
// text. Any other value has none.
func Elements[Value ~[]byte](array Value) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		c := NewCursor(array, 0)
		if c.Kind() != '[' {
			return
		}
		for c.Open(); c.More(); {
			if !yield(c.Value()) {
				return
			}
		}
	}
}

// stringEnd returns the offset of the quote that ends the string whose content
// begins at from, or -1.
func stringEnd(text []byte, from int) int {
	for i := from; ; i++ {
		next := bytes.IndexByte(text[i:], '"')
		if next < 0 {
			return -1
		}
		i += next
		run := i // of backslashes before the quote: an odd one escapes it
		for run > from && text[run-1] == '\\' {
			run--
		}
		if (i-run)%2 == 0 {
			return i
		}
	}
}
