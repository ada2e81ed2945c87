package chat

import (
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
)

// TextSize measures a request: bytes of what the model reads, tool definitions
// included, and how many images, sounds and files come with it, whose encoded
// bytes do not count. It is a guess where the body is not what it should be.
func (r *Request) TextSize() (text, media int64) {
	for _, m := range r.Body.Members() {
		switch m.Name {
		case "messages", "input", "prompt", "instructions", "tools", "functions", "query", "documents":
			text += int64(len(r.Body.Value(m)))
		}
	}
	if r.Endpoint != Completions || !hasMedia(r.Body.Source()) {
		return text, 0
	}
	messages, err := r.messages()
	if err != nil {
		return text, 0 // the provider will say what is wrong
	}
	text = 0
	if tools, ok := r.Body.Get("tools"); ok {
		text = int64(len(tools))
	}
	for i := range messages {
		for j := range messages[i].Content {
			part := &messages[i].Content[j]
			text += int64(len(part.Text))
			if part.Type != "text" {
				media++
			}
		}
	}
	return text, media
}

func hasMedia(body []byte) bool {
	for name := range jsonedit.Names(body) {
		switch string(name) {
		case "image_url", "input_audio", "file":
			return true
		}
	}
	return false
}
