package jsonedit

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Scanner picks named top-level members out of a JSON object that arrives in
// pieces, without holding the text: its memory is bounded by the members asked
// for. It does not validate; on text that is not a JSON object it finds nothing.
// The zero Scanner looks for nothing; make one with [NewScanner]. Not safe for
// concurrent use.
type Scanner struct {
	want  []string
	found []jsontext.Value // found[i] is that of want[i]; nil: not read

	depth    int
	inString bool
	escaped  bool
	key      []byte // the top-level name being read, or just read
	inKey    bool
	expected bool            // at depth 1, the next string is a name
	into     *jsontext.Value // where the value after key goes; nil: it is not wanted
	capture  []byte          // that value, as far as it is read; used again for the next
	dead     bool
	complete bool

	list string // the top-level member of which only is asked whether it has elements; "": none
	seen listState
}

// listState is what is known of the watched list.
type listState uint8

const (
	listUnseen listState = iota
	listNamed            // its name has been read
	listOpen             // and its bracket
	listOther            // it is no list
	listEmpty
	listFilled
)

// maxCaptured bounds one captured value in bytes; a longer one is given up.
const maxCaptured = 64 << 10

// NewScanner returns a Scanner for the named top-level members.
func NewScanner(names ...string) *Scanner {
	return &Scanner{want: names, found: make([]jsontext.Value, len(names)), key: make([]byte, 0, 32), capture: make([]byte, 0, 256)}
}

// WatchList has the scanner look whether the named top-level member is a list with
// elements, which are objects, lists or strings. Its text is not kept. It is called
// before the first Feed.
func (s *Scanner) WatchList(name string) { s.list = name }

// List reports whether the watched member is a list, and whether it has elements.
func (s *Scanner) List() (present, filled bool) {
	return s.seen == listOpen || s.seen == listEmpty || s.seen == listFilled, s.seen == listFilled
}

// Complete reports whether a whole object has been read.
func (s *Scanner) Complete() bool { return s.complete }

// HasMembers reports whether the text so far is an object with a member.
func (s *Scanner) HasMembers() bool { return len(s.key) > 0 }

// Get returns the raw value of a member that has been read whole.
func (s *Scanner) Get(name string) (jsontext.Value, bool) {
	if i := slices.Index(s.want, name); i >= 0 {
		return s.found[i], s.found[i] != nil
	}
	return nil, false
}

// Unfinished reports whether the text so far is no whole value: white space alone, or an
// object that has not ended. Of a text that is no object it says false.
func (s *Scanner) Unfinished() bool { return !s.dead && !s.complete }

// Feed reads the next piece of the text. Pieces may be cut anywhere.
func (s *Scanner) Feed(piece []byte) {
	for i := 0; i < len(piece) && !s.dead; {
		if s.inString {
			i = s.stringBytes(piece, i)
			continue
		}
		if s.depth > 1 && s.into == nil {
			// Inside a value that is not wanted: only quotes and brackets matter.
			next := bytes.IndexAny(piece[i:], "\"{}[]")
			if next < 0 {
				return
			}
			i += next
		}
		s.structure(piece[i])
		i++
	}
}

// stringBytes consumes string content from piece[i:] and returns the next offset.
func (s *Scanner) stringBytes(piece []byte, i int) int {
	start := i
	for i < len(piece) {
		if s.escaped {
			s.escaped = false
			i++
			continue
		}
		next := indexQuoteOrEscape(piece[i:])
		if next < 0 {
			i = len(piece)
			break
		}
		i += next
		if piece[i] == '\\' {
			s.escaped = true
			i++
			continue
		}
		s.inString = false
		i++
		break
	}
	s.keep(piece[start:i])
	if !s.inString && s.inKey {
		s.inKey = false
		s.key = s.key[:max(0, len(s.key)-1)] // drop the closing quote
	}
	return i
}

func indexQuoteOrEscape(text []byte) int {
	quote := bytes.IndexByte(text, '"')
	if quote < 0 {
		return bytes.IndexByte(text, '\\')
	}
	if escape := bytes.IndexByte(text[:quote], '\\'); escape >= 0 {
		return escape
	}
	return quote
}

func (s *Scanner) keep(text []byte) {
	if s.inKey {
		if len(s.key)+len(text) > maxCaptured {
			s.dead = true
			return
		}
		s.key = append(s.key, text...)
		return
	}
	if s.into == nil {
		return
	}
	if len(s.capture)+len(text) > maxCaptured {
		s.into, s.capture = nil, nil
		return
	}
	s.capture = append(s.capture, text...)
}

func (s *Scanner) structure(c byte) {
	if s.depth == 0 {
		s.outside(c)
		return
	}
	if s.seen == listNamed || s.seen == listOpen {
		s.watch(c)
	}
	if s.depth == 1 && (c == ',' || c == '}') {
		s.endMember(c == '}')
		return
	}
	if s.depth == 1 && s.expected {
		if c == '"' {
			s.expected, s.inString, s.inKey = false, true, true
			s.key = s.key[:0]
		}
		return
	}
	if s.depth == 1 && c == ':' && s.into == nil {
		if s.into = s.place(); s.list != "" && s.list == string(s.key) {
			s.seen = listNamed
		}
		return
	}
	s.keep([]byte{c})
	switch c {
	case '"':
		s.inString = true
	case '{', '[':
		s.depth++
	case '}', ']':
		s.depth--
	}
}

// watch looks at the first of the watched member's value.
func (s *Scanner) watch(c byte) {
	switch {
	case c == ' ', c == '\t', c == '\r', c == '\n':
	case s.seen == listNamed && c == '[':
		s.seen = listOpen
	case s.seen == listNamed:
		s.seen = listOther
	case c == ']':
		s.seen = listEmpty
	default:
		s.seen = listFilled
	}
}

func (s *Scanner) outside(c byte) {
	switch c {
	case '{':
		if s.complete {
			s.dead = true
			return
		}
		s.depth, s.expected = 1, true
	case ' ', '\t', '\r', '\n':
	default:
		s.dead = true
	}
}

func (s *Scanner) endMember(object bool) {
	if s.into != nil {
		*s.into = bytes.Clone(bytes.TrimSpace(s.capture))
	}
	s.into, s.capture, s.expected = nil, s.capture[:0], true
	if object {
		s.depth, s.complete = 0, true
	}
}

// place is where the value of the member with this key goes, or nil.
func (s *Scanner) place() *jsontext.Value {
	for i := range s.want {
		if s.want[i] == string(s.key) {
			return &s.found[i]
		}
	}
	return nil
}
