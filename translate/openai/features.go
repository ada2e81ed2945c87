package openai

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// features say what a conversation holds that may have to change. They are found in
// one pass over its member names; only where there is one is anything parsed. A
// member of that name may stand where it means nothing, so the change itself checks
// the place.
type features struct {
	cacheControl, image, file, reasoning, text, calls bool // members of that meaning

	extension bool // one of extensions
	dropped   bool // one of those the server does not get
	null      bool // a member without a value

	developer, tool, assistant bool // roles
}

// featuresOf looks at messages, which are valid JSON. drop lists the members that
// the server does not get.
func featuresOf(messages jsontext.Value, drop []string) (m features) {
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

func (m *features) role(value []byte) {
	switch {
	case bytes.HasPrefix(value, []byte(`"assistant"`)):
		m.assistant = true
	case bytes.HasPrefix(value, []byte(`"tool"`)):
		m.tool = true
	case bytes.HasPrefix(value, []byte(`"developer"`)):
		m.developer = true
	}
}
