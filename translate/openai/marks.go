package openai

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// marks are the signs in a conversation that something in it may have to change.
// They are found by one look at its names; only where they stand is anything
// parsed. A mark may stand elsewhere than where it counts, so that the change
// itself has to look again.
type marks struct {
	cacheControl, image, file, reasoning, text, calls bool // members of that meaning

	extension bool // one of extensions
	dropped   bool // one of those the server does not get
	null      bool // a member without a value

	developer, tool, assistant bool // roles
}

// marksOf looks at messages, which are valid JSON. drop lists the members that
// the server does not get.
func marksOf(messages jsontext.Value, drop []string) (m marks) {
	for name, at := range jsonedit.Names(messages) {
		switch string(name) {
		case "role":
			m.role(messages[at:])
		case "cache_control":
			m.cacheControl = true
		case "image_url":
			m.image = true
		case "file":
			m.file = true
		case "reasoning_content":
			m.reasoning = true
		case "text":
			m.text = true
		case "tool_calls", "tool_call_id":
			m.calls = true
		case "thinking_blocks", "provider_specific_fields", "extra_content":
			m.extension = true
		}
		m.null = m.null || messages[at] == 'n'
		m.dropped = m.dropped || slices.Contains(drop, string(name))
	}
	return m
}

func (m *marks) role(value []byte) {
	switch {
	case bytes.HasPrefix(value, []byte(`"assistant"`)):
		m.assistant = true
	case bytes.HasPrefix(value, []byte(`"tool"`)):
		m.tool = true
	case bytes.HasPrefix(value, []byte(`"developer"`)):
		m.developer = true
	}
}
