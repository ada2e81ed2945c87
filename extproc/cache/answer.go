package cache

import (
	"bytes"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// answer writes the folded stream as the blocking answer it would have been.
func (f *folder) answer() []byte {
	object := `"chat.completion"`
	if f.legacy {
		object = `"text_completion"`
	}
	dst := make([]byte, 0, f.size+512)
	dst = append(dst, '{')
	dst = appendMember(dst, "object", []byte(object))
	dst = appendMembers(dst, f.head)
	dst = append(jsonedit.AppendName(dst, "choices"), '[')
	for i, c := range f.choices {
		dst = jsonedit.AppendComma(dst)
		dst = c.append(dst, i, f.legacy)
	}
	dst = append(dst, ']')
	if f.usage != nil {
		dst = appendMember(dst, "usage", f.usage)
	}
	return append(dst, '}')
}

func (c *choice) append(dst []byte, index int, legacy bool) []byte {
	dst = append(dst, '{')
	dst = appendMember(dst, "index", appendInt(nil, index))
	if legacy {
		dst = c.appendTexts(dst)
	} else {
		dst = append(jsonedit.AppendName(dst, "message"), '{')
		dst = c.appendMessage(dst)
		dst = append(dst, '}')
	}
	dst = jsonedit.AppendName(dst, "logprobs")
	if len(c.logprobs) == 0 {
		dst = append(dst, "null"...)
	} else {
		dst = append(appendLists(append(dst, '{'), c.logprobs), '}')
	}
	dst = appendMembers(dst, c.extra)
	dst = jsonedit.AppendName(dst, "finish_reason")
	if c.finish == nil {
		dst = append(dst, "null"...)
	}
	return append(append(dst, c.finish...), '}')
}

func (c *choice) appendMessage(dst []byte) []byte {
	role := c.role
	if role == nil {
		role = []byte(`"assistant"`)
	}
	dst = appendMember(dst, "role", role)
	if !c.has("content") {
		dst = appendMember(dst, "content", []byte("null"))
	}
	dst = c.appendTexts(dst)
	dst = appendLists(dst, c.lists)
	dst = appendMembers(dst, c.message)
	if c.function != nil {
		dst = append(jsonedit.AppendName(dst, "function_call"), '{')
		dst = append(c.function.appendFunction(dst), '}')
	}
	if len(c.calls) == 0 {
		return dst
	}
	dst = append(jsonedit.AppendName(dst, "tool_calls"), '[')
	for _, t := range c.calls {
		dst = jsonedit.AppendComma(dst)
		dst = t.append(dst)
	}
	return append(dst, ']')
}

// has reports whether a text came that is worth showing: an empty content
// beside tool calls is no content.
func (c *choice) has(name string) bool {
	for _, t := range c.texts {
		if t.name == name {
			return c.shows(t)
		}
	}
	return false
}

func (c *choice) shows(t *text) bool {
	return len(t.escaped) > 0 || len(c.calls) == 0 && c.function == nil
}

func (c *choice) appendTexts(dst []byte) []byte {
	for _, t := range c.texts {
		if !c.shows(t) {
			continue
		}
		dst = append(jsonedit.AppendName(dst, t.name), '"')
		dst = append(append(dst, t.escaped...), '"')
	}
	return dst
}

func (t *toolCall) append(dst []byte) []byte {
	dst = append(dst, '{')
	if t.id != nil {
		dst = appendMember(dst, "id", t.id)
	}
	kind := t.kind
	if kind == nil {
		kind = []byte(`"function"`)
	}
	dst = appendMember(dst, "type", kind)
	call := "function"
	if bytes.Equal(kind, []byte(`"custom"`)) {
		call = "custom"
	}
	dst = append(jsonedit.AppendName(dst, call), '{')
	dst = append(t.appendFunction(dst), '}')
	dst = appendMembers(dst, t.extra)
	return append(dst, '}')
}

func (t *toolCall) appendFunction(dst []byte) []byte {
	if t.name != nil {
		dst = appendMember(dst, "name", t.name)
	}
	name := t.arguments.name
	if name == "" {
		name = "arguments"
	}
	dst = append(jsonedit.AppendName(dst, name), '"')
	return append(append(dst, t.arguments.escaped...), '"')
}

func appendLists(dst []byte, lists []*list) []byte {
	for _, l := range lists {
		dst = append(appendRawName(dst, l.name), '[')
		dst = append(append(dst, l.items...), ']')
	}
	return dst
}

func appendMembers(dst []byte, members []member) []byte {
	for _, m := range members {
		dst = append(appendRawName(dst, m.name), m.value...)
	}
	return dst
}

func appendMember(dst []byte, name string, value []byte) []byte {
	return append(appendRawName(dst, name), value...)
}

// appendRawName appends a member's name that is JSON already.
func appendRawName(dst []byte, name string) []byte {
	dst = append(jsonedit.AppendComma(dst), '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}
