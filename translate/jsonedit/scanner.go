package jsonedit

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Scanner picks named top-level members out of a JSON object that arrives in
// pieces, without holding the text: its memory is bounded by the members asked
// for. It does not validate; on text that is not a JSON object it finds nothing.
// The zero Scanner looks for nothing; make one with [NewScanner]. Not safe for
// concurrent use.
type Scanner struct {
	want  []string
	found map[string]jsontext.Value

	depth    int
	inString bool
	escaped  bool
	key      []byte // the top-level name being read, or just read
	inKey    bool
	expected bool // at depth 1, the next string is a name
	capture  []byte
	wanted   bool // the value after key is being captured
	dead     bool
	complete bool
}

// maxCaptured bounds one captured value in bytes; a longer one is given up.
const maxCaptured = 64 << 10

// NewScanner returns a Scanner for the named top-level members.
func NewScanner(names ...string) *Scanner {
	return &Scanner{want: names, found: make(map[string]jsontext.Value, len(names))}
}

// Get returns the raw value of a member that has been read whole.
func (s *Scanner) Get(name string) (jsontext.Value, bool) {
	v, ok := s.found[name]
	return v, ok
}

// Feed reads the next piece of the text. Pieces may be cut anywhere.
func (s *Scanner) Feed(piece []byte) {
	for i := 0; i < len(piece) && !s.dead; {
		if s.inString {
			i = s.stringBytes(piece, i)
			continue
		}
		if s.depth > 1 && !s.wanted {
			// Inside a value nobody asked for: only quotes and brackets matter.
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
	if !s.wanted {
		return
	}
	if len(s.capture)+len(text) > maxCaptured {
		s.wanted, s.capture = false, nil
		return
	}
	s.capture = append(s.capture, text...)
}

func (s *Scanner) structure(c byte) {
	if s.depth == 0 {
		s.outside(c)
		return
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
	if s.depth == 1 && c == ':' && s.capture == nil {
		s.wanted = s.isWanted()
		if s.wanted {
			s.capture = make([]byte, 0, 256)
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
	if s.wanted {
		s.found[string(s.key)] = bytes.TrimSpace(s.capture)
	}
	s.wanted, s.capture, s.expected = false, nil, true
	if object {
		s.depth, s.complete = 0, true
	}
}

func (s *Scanner) isWanted() bool {
	for _, name := range s.want {
		if string(s.key) == name {
			return true
		}
	}
	return false
}
