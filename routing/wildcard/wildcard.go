package wildcard

import "strings"

// maxName bounds, in bytes, the names that a pattern matches and those that Fill
// makes: a star more than once in a pattern must not multiply a client's text.
const maxName = 1024

// Pattern is a text with any number of stars. A star stands for any text, also for
// none. It is immutable and safe for concurrent use.
type Pattern struct {
	text  string
	parts []string // the literal text between the stars; one more than there are stars
}

// New compiles a text. One without a star matches itself alone.
func New(text string) Pattern { return Pattern{text: text, parts: strings.Split(text, "*")} }

// String is the text as New had it.
func (p Pattern) String() string { return p.text }

// Stars is the number of stars.
func (p Pattern) Stars() int { return len(p.parts) - 1 }

// Literal is the number of bytes that are no stars.
func (p Pattern) Literal() int { return len(p.text) - p.Stars() }

// Matches reports whether the pattern covers the whole name.
func (p Pattern) Matches(name string) bool {
	_, ok := p.Captures(name)
	return ok
}

// Captures returns what each star stands for when the pattern covers the whole
// name, the shortest text for each star but the last.
func (p Pattern) Captures(name string) (captures []string, ok bool) {
	if p.Stars() == 0 {
		return nil, name == p.text
	}
	rest, ok := strings.CutPrefix(name, p.parts[0])
	if !ok || len(name) > maxName {
		return nil, false
	}
	captures = make([]string, 0, p.Stars())
	for _, part := range p.parts[1:p.Stars()] {
		before, after, ok := strings.Cut(rest, part)
		if !ok {
			return nil, false
		}
		captures, rest = append(captures, before), after
	}
	last, ok := strings.CutSuffix(rest, p.parts[p.Stars()])
	return append(captures, last), ok
}

// Fill puts the captures in the place of the stars, left to right, each once: a
// star in what is put in stays there. Stars that are left over get whole. ok is
// false when the result would be too long to be a name.
func (p Pattern) Fill(captures []string, whole string) (name string, ok bool) {
	if p.Stars() == 0 {
		return p.text, true
	}
	capture := func(i int) string {
		if i < len(captures) {
			return captures[i]
		}
		return whole
	}
	size := p.Literal()
	for i := range p.Stars() {
		if size += len(capture(i)); size > maxName {
			return "", false
		}
	}
	var b strings.Builder
	b.Grow(size)
	for i, part := range p.parts {
		b.WriteString(part)
		if i < p.Stars() {
			b.WriteString(capture(i))
		}
	}
	return b.String(), true
}
