package cache

import (
	"bytes"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// This file joins the single values of chunks.

// add appends the string that the cursor stands before to the text of that name.
func (f *folder) add(texts *[]*text, name string, s *jsonedit.Cursor) {
	if s.Kind() == 'n' {
		s.Value()
		return
	}
	for _, t := range *texts {
		if t.name == name {
			f.addTo(t, s)
			return
		}
	}
	t := &text{name: name}
	*texts = append(*texts, t)
	f.addTo(t, s)
}

func (f *folder) addTo(t *text, s *jsonedit.Cursor) {
	if s.Kind() != '"' {
		f.why = "a text is no string"
		return
	}
	piece := s.Text()
	f.adds++
	f.last, f.to = t, s.Offset()-1
	f.from = f.to - len(piece)
	f.size += int64(len(piece))
	t.escaped = append(t.escaped, piece...)
}

// extend appends the elements of an array to the list of that name.
func (f *folder) extend(lists *[]*list, name, value []byte) {
	if isNull(value) {
		return
	}
	if value[0] != '[' {
		f.why = "a list is no array"
		return
	}
	var l *list
	for _, have := range *lists {
		if have.name == string(name) {
			l = have
		}
	}
	if l == nil {
		l = &list{name: string(name)}
		*lists = append(*lists, l)
	}
	items := bytes.TrimSpace(value[1 : len(value)-1])
	if len(items) == 0 {
		return
	}
	if len(l.items) > 0 {
		l.items = append(l.items, ',')
	}
	f.adds++
	f.last = nil
	f.size += int64(len(items)) + 1
	l.items = append(l.items, items...)
}

// logprobs appends the arrays of a logprobs object, in chat's form (content,
// refusal) or the legacy one (tokens, token_logprobs …).
func (f *folder) logprobs(c *choice, s *jsonedit.Cursor) {
	switch s.Kind() {
	case '{':
	case 'n':
		s.Value()
		return
	default:
		f.why = "logprobs is no object"
		return
	}
	for s.Open(); f.why == "" && s.More(); {
		name, value := s.Name(), s.Value()
		f.extend(&c.logprobs, name, value)
	}
}

// keep returns what a value is that must not change within a stream.
func (f *folder) keep(have, value []byte) []byte {
	switch {
	case isNull(value) || string(value) == `""`:
		return have
	case have == nil:
		f.adds++
		f.last = nil
		f.size += int64(len(value))
		return bytes.Clone(value)
	case !bytes.Equal(have, value):
		f.why = "a value that changes within the stream"
	}
	return have
}

// once keeps a member nobody here knows: it may be repeated, not changed.
func (f *folder) once(members *[]member, name, value []byte) {
	if isNull(value) {
		return
	}
	for i := range *members {
		if m := &(*members)[i]; m.name == string(name) {
			m.value = f.keep(m.value, value)
			return
		}
	}
	f.size += int64(len(name))
	*members = append(*members, member{name: string(name), value: f.keep(nil, value)})
}

// set keeps the last value of a member.
func (f *folder) set(members *[]member, name, value []byte) {
	if isNull(value) {
		return
	}
	for i := range *members {
		if m := &(*members)[i]; m.name == string(name) {
			f.size += int64(len(value) - len(m.value))
			m.value = append(m.value[:0], value...)
			return
		}
	}
	f.size += int64(len(name) + len(value))
	*members = append(*members, member{name: string(name), value: bytes.Clone(value)})
}
