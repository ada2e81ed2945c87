package ollama

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// appendMessages appends the conversation, message by message: Ollama takes
// system messages anywhere and neighbours of one role.
func appendMessages(dst []byte, messages []chat.Message) ([]byte, error) {
	dst = append(jsonedit.AppendName(dst, "messages"), '[')
	names := map[string]string{} // of the functions, by tool call id
	for i := range messages {
		m := &messages[i]
		for j := range m.Calls {
			names[m.Calls[j].ID] = m.Calls[j].Name
		}
		var err error
		if dst, err = appendMessage(jsonedit.AppendComma(dst), m, names); err != nil {
			return dst, upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: %s", i, err))
		}
	}
	return append(dst, ']'), nil
}

func appendMessage(dst []byte, m *chat.Message, names map[string]string) ([]byte, error) {
	role := m.Role
	switch role {
	case "system", "user", "assistant", "tool":
	case "developer":
		role = "system"
	case "function":
		role = "tool"
	default:
		return dst, fmt.Errorf("unknown role %q", role)
	}
	dst = append(dst, `{"role":"`+role+`","content":`...)
	dst = jsonedit.AppendString(dst, m.Text())
	dst, err := appendImages(dst, m.Content)
	if err != nil {
		return dst, err
	}
	switch role {
	case "assistant":
		if m.Reasoning != "" {
			dst = jsonedit.AppendString(jsonedit.AppendName(dst, "thinking"), m.Reasoning)
		}
		if dst, err = appendCalls(dst, m.Calls); err != nil {
			return dst, err
		}
	case "tool":
		name, ok := names[m.CallID]
		if !ok || m.CallID == "" {
			name = m.Name
		}
		dst = appendText(dst, "tool_name", name)
		dst = appendText(dst, "tool_call_id", m.CallID) // older servers overlook it
	}
	return append(dst, '}'), nil
}

// appendText appends a member unless it is empty.
func appendText(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return jsonedit.AppendString(jsonedit.AppendName(dst, name), text)
}

// appendImages appends the images of a message, which stand beside its text as
// bare base64.
func appendImages(dst []byte, parts []chat.Part) ([]byte, error) {
	begun := false
	for i := range parts {
		p := &parts[i]
		switch p.Type {
		case "text", "refusal":
			continue
		case "image_url":
		default:
			return dst, fmt.Errorf("content[%d]: ollama takes text and images, not %q parts", i, p.Type)
		}
		data, err := imageData(p.Image.URL)
		if err != nil {
			return dst, fmt.Errorf("content[%d]: %w", i, err)
		}
		if !begun {
			begun = true
			dst = append(jsonedit.AppendName(dst, "images"), '[')
		}
		dst = jsonedit.AppendString(jsonedit.AppendComma(dst), data)
	}
	if begun {
		dst = append(dst, ']')
	}
	return dst, nil
}

// imageData returns the base64 of an image.
func imageData(address string) (string, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	if !strings.EqualFold(scheme, "data") {
		return "", fmt.Errorf("ollama takes no image from elsewhere: send it as a data: URL in base64")
	}
	u, err := chat.ParseDataURL(rest)
	return u.Encoded(), err
}

// appendCalls appends the calls an assistant made; their arguments are objects,
// not text.
func appendCalls(dst []byte, calls []chat.Call) ([]byte, error) {
	if len(calls) == 0 {
		return dst, nil
	}
	dst = append(jsonedit.AppendName(dst, "tool_calls"), '[')
	for i := range calls {
		arguments := jsontext.Value(calls[i].Arguments)
		switch {
		case strings.TrimSpace(calls[i].Arguments) == "":
			arguments = jsontext.Value("{}")
		case arguments.Kind() != '{' || !arguments.IsValid():
			return dst, fmt.Errorf("tool_calls[%d]: the arguments of a function call must be a JSON object", i)
		}
		dst = append(jsonedit.AppendComma(dst), '{')
		dst = appendText(dst, "id", calls[i].ID)
		dst = append(jsonedit.AppendName(dst, "function"), `{"name":`...)
		dst = jsonedit.AppendString(dst, calls[i].Name)
		dst = append(jsonedit.AppendMember(dst, "arguments", arguments), "}}"...)
	}
	return append(dst, ']'), nil
}
