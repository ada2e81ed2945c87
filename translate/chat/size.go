package chat

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

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
	if r.Endpoint != Completions && r.Endpoint != Responses || !hasMedia(r.Body.Source()) {
		return text, 0
	}
	if r.Endpoint == Responses {
		return r.itemsSize(text)
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

// itemsSize takes the media out of the size of a Responses API input: what
// holds or names them.
func (r *Request) itemsSize(text int64) (int64, int64) {
	input, _ := r.Body.Get("input")
	var media int64
	d := jsontext.NewDecoder(bytes.NewReader(input))
	for {
		kind := d.PeekKind()
		token, err := d.ReadToken()
		if err != nil {
			return text, media // the end; the text is JSON, for it was parsed
		}
		if kind != '"' || !isMedia(token.String()) {
			continue
		}
		if parent, length := d.StackIndex(d.StackDepth()); parent != '{' || length%2 == 0 {
			continue // it is no name
		}
		value, err := d.ReadValue()
		if err != nil {
			return text, media
		}
		text -= int64(len(value))
		media++
	}
}

func hasMedia(body []byte) bool {
	for name := range jsonedit.Names(body) {
		if isMedia(string(name)) {
			return true
		}
	}
	return false
}

// isMedia lists the members that hold an image, a sound or a file, or say where it
// is.
func isMedia(name string) bool {
	switch name {
	case "image_url", "input_audio", "file", "file_data", "file_url":
		return true
	}
	return false
}
