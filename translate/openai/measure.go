package openai

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// measure notes the text of one chunk of a stream: the first member of these that
// says something. Chunks carry one kind of text each.
func measure(m *chat.Meter, chunk []byte) {
	for _, name := range [...]string{"content", "arguments", "reasoning_content", "text", "reasoning"} {
		i := jsonedit.Find(chunk, name)
		if i < 0 || i >= len(chunk) || chunk[i] != '"' {
			continue
		}
		quoted := stringText(chunk[i:])
		if len(quoted) <= 2 {
			continue
		}
		if bytes.IndexByte(quoted, '\\') < 0 {
			m.Add(string(quoted[1 : len(quoted)-1]))
			return
		}
		if text, err := jsontext.AppendUnquote(nil, quoted); err == nil {
			m.Add(string(text))
		}
		return
	}
}

// stringText returns the JSON string at the start of text, with its quotes; nil
// when it does not end.
func stringText(text []byte) []byte {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[:i+1]
		}
	}
	return nil
}
