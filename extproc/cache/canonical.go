package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// canonical writes JSON values so that two of them have the same bytes exactly
// when they mean the same: members in the order of their names, strings without
// escapes, numbers by their decimal value. Each value begins with a tag and
// tells its own length, so that no two sequences of values look alike:
//
//	n t f          null, true, false
//	#digits e exp; a number
//	s len bytes    a string, its length as uvarint
//	[ … ]  { … }   arrays and objects (name, value, name, value …)
//	S sum  C sum   a long string, a long array or object: its SHA-256
//	K sum          the first elements of a very long array
//
// The sums keep the work linear in the text, however deep it is nested and
// however its members must be moved, and the buffer small. Not safe for concurrent
// use; reset makes it usable again.
type canonical struct {
	buf     []byte
	scratch []byte
	members []span // of all objects that are open, the innermost last
}

// span is one member of an object in canonical.buf.
type span struct{ start, value, end int }

// longest is the most bytes a value may have before its sum takes its place.
const longest = 1024

// rolling is the most bytes of an array that are held before their sum takes
// their place.
const rolling = 32 << 10

func (c *canonical) reset() { c.buf, c.members = c.buf[:0], c.members[:0] }

// value writes the value that the cursor stands before.
func (c *canonical) value(s *jsonedit.Cursor) {
	switch kind := s.Kind(); kind {
	case '"':
		c.text(s.Text())
	case '{':
		c.object(s)
	case '[':
		c.array(s)
	case 'n', 't', 'f':
		s.Value()
		c.buf = append(c.buf, kind)
	default:
		c.number(s.Value())
	}
}

func (c *canonical) array(s *jsonedit.Cursor) {
	start := len(c.buf)
	c.buf = append(c.buf, '[')
	for s.Open(); s.More(); {
		c.value(s)
		if len(c.buf)-start > rolling {
			sum := sha256.Sum256(c.buf[start:])
			c.buf = append(append(c.buf[:start], '[', 'K'), sum[:]...)
		}
	}
	c.buf = append(c.buf, ']')
	c.shorten(start)
}

func (c *canonical) object(s *jsonedit.Cursor) {
	start, outer := len(c.buf), len(c.members)
	c.buf = append(c.buf, '{')
	for s.Open(); s.More(); {
		at := len(c.buf)
		c.text(s.Name())
		c.memberValue(at, s)
	}
	c.endObject(start, outer)
}

// memberValue writes the value of a member whose name was written at start.
func (c *canonical) memberValue(start int, s *jsonedit.Cursor) {
	value := len(c.buf)
	c.value(s)
	c.members = append(c.members, span{start, value, len(c.buf)})
}

// endObject sorts the members from outer on and closes the object at start.
func (c *canonical) endObject(start, outer int) {
	members := c.members[outer:]
	byName := func(a, b span) int { return bytes.Compare(c.buf[a.start:a.value], c.buf[b.start:b.value]) }
	if !slices.IsSortedFunc(members, byName) {
		slices.SortFunc(members, byName)
		c.scratch = c.scratch[:0]
		for _, m := range members {
			c.scratch = append(c.scratch, c.buf[m.start:m.end]...)
		}
		copy(c.buf[start+1:], c.scratch)
	}
	c.members = c.members[:outer]
	c.buf = append(c.buf, '}')
	c.shorten(start)
}

// shorten puts the sum of a long value in its place.
func (c *canonical) shorten(start int) {
	if len(c.buf)-start > longest {
		sum := sha256.Sum256(c.buf[start:])
		c.buf = append(append(c.buf[:start], 'C'), sum[:]...)
	}
}

// text writes a string, of which it is given what stands between the quotes.
func (c *canonical) text(inside []byte) {
	if bytes.IndexByte(inside, '\\') >= 0 {
		c.scratch = jsonedit.AppendUnescaped(c.scratch[:0], inside)
		inside = c.scratch
	}
	if len(inside) > longest {
		sum := sha256.Sum256(inside)
		c.buf = append(append(c.buf, 'S'), sum[:]...)
		return
	}
	c.buf = append(binary.AppendUvarint(append(c.buf, 's'), uint64(len(inside))), inside...)
}

// number writes a number as its significant digits and a power of ten: 1, 1.0,
// 10e-1 and 1e0 are one. No precision is lost, whatever the size.
func (c *canonical) number(text []byte) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	mantissa, exponent, ok := splitNumber(text)
	if !ok { // beyond anything that a parser would read: only equal to itself
		c.buf = append(append(append(c.buf, '$'), text...), ';')
		return
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte{'.'})
	c.buf = append(c.buf, '#')
	if negative {
		c.buf = append(c.buf, '-')
	}
	start := len(c.buf)
	c.buf = append(append(c.buf, whole...), fraction...)
	digits := bytes.TrimRight(c.buf[start:], "0")
	exponent += int64(len(c.buf) - start - len(digits) - len(fraction))
	digits = bytes.TrimLeft(digits, "0")
	if len(digits) == 0 { // zero; minus zero is the same
		c.buf = append(c.buf[:start-btoi(negative)], "0;"...)
		return
	}
	n := copy(c.buf[start:], digits)
	c.buf = append(c.buf[:start+n], 'e')
	c.buf = append(binary.AppendVarint(c.buf, exponent), ';')
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// splitNumber cuts a number at its exponent; ok is false when that is absurd.
func splitNumber(text []byte) (mantissa []byte, exponent int64, ok bool) {
	at := bytes.IndexAny(text, "eE")
	if at < 0 {
		return text, 0, true
	}
	mantissa, rest := text[:at], text[at+1:]
	sign := int64(1)
	if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
		if rest[0] == '-' {
			sign = -1
		}
		rest = rest[1:]
	}
	rest = bytes.TrimLeft(rest, "0")
	if len(rest) > 9 {
		return nil, 0, false
	}
	for _, d := range rest {
		exponent = exponent*10 + int64(d-'0')
	}
	return mantissa, sign * exponent, true
}
