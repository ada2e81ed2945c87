package gemini

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/chat"
	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// skipSignature stands in for a thought signature that the client did not give
// back: base64 of "skip_thought_signature_validator".
// https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
const skipSignature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="

// signatureMark parts a tool call's id from its thought signature in the ids
// that LiteLLM hands out.
const signatureMark = "__thought__"

// contents writes the turns of a conversation. Neighbouring messages of one role
// become one turn, and a turn begins with its first part, so that there is none
// without parts: Gemini accepts neither.
type contents struct {
	model   traits
	out     []byte
	role    string            // of the next part
	open    string            // of the turn being written; "" before the first
	called  bool              // the turn has a function call
	shown   bool              // the turn has an image, sound or file of the user
	hasText bool              // the turn has a text
	names   map[string]string // of the functions, by tool call id
	highest int               // resolution asked for by an image: index in resolutions
}

// write appends all messages but the system's.
func (w *contents) write(messages []chat.Message) error {
	for i := range messages {
		if err := w.message(&messages[i]); err != nil {
			return upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: %s", i, err))
		}
	}
	if w.open == "" { // Gemini wants a turn: the system message alone is none
		w.role = "user"
		w.text(".", "")
	}
	w.end()
	return nil
}

func (w *contents) message(m *chat.Message) error {
	switch m.Role {
	case "system", "developer":
		return nil
	case "user":
		w.role = "user"
		return w.userParts(m)
	case "assistant":
		w.role = "model"
		return w.assistant(m)
	case "tool", "function":
		w.role = "user"
		return w.toolResult(m)
	}
	return fmt.Errorf("unknown role %q", m.Role)
}

// part begins a part, and its turn if the role changed.
func (w *contents) part() {
	if w.role == w.open {
		w.out = append(w.out, ",{"...)
		return
	}
	if w.open != "" {
		w.end()
		w.out = append(w.out, ',')
	}
	w.open, w.called, w.shown, w.hasText = w.role, false, false, false
	w.out = append(w.out, `{"role":"`+w.role+`","parts":[{`...)
}

// end ends the turn. Some models refuse a user who shows something and says
// nothing: a space is LiteLLM's answer to that.
func (w *contents) end() {
	if w.shown && !w.hasText {
		w.out = append(w.out, `,{"text":" "}`...)
	}
	w.out = append(w.out, "]}"...)
}

func (w *contents) text(text, signature string) {
	w.part()
	w.hasText = true
	w.out = append(w.out, `"text":`...)
	w.out = jsonedit.AppendString(w.out, text)
	w.signature(signature)
	w.out = append(w.out, '}')
}

func (w *contents) signature(signature string) {
	if signature != "" {
		w.out = append(w.out, `,"thoughtSignature":`...)
		w.out = jsonedit.AppendString(w.out, signature)
	}
}

func (w *contents) userParts(m *chat.Message) error {
	for i := range m.Content {
		p := &m.Content[i]
		if p.Type == "text" || p.Type == "refusal" {
			if p.Text != "" {
				w.text(p.Text, "")
			}
			continue
		}
		media, err := mediaOf(p)
		if err != nil {
			return fmt.Errorf("content[%d]: %w", i, err)
		}
		w.part()
		w.shown = true
		w.out = media.append(w.out)
		w.resolution(p)
		w.out = append(w.out, '}')
	}
	return nil
}

// assistant appends what the model thought, the text, then the calls. The
// signature of the text stands on its last part.
func (w *contents) assistant(m *chat.Message) error {
	last := -1
	for i := range m.Content {
		if p := &m.Content[i]; p.Type != "text" && p.Type != "refusal" {
			return fmt.Errorf("content[%d]: an assistant message takes text parts only, not %q", i, p.Type)
		}
		if m.Content[i].Text != "" {
			last = i
		}
	}
	w.thought(m)
	if last < 0 && m.Signature != "" && len(m.Calls) == 0 {
		w.text("", m.Signature) // it came alone, at the end of a stream
	}
	for i := range m.Content {
		switch text := m.Content[i].Text; {
		case text == "":
		case i == last:
			w.text(text, m.Signature)
		default:
			w.text(text, "")
		}
	}
	for i := range m.Calls {
		if err := w.call(&m.Calls[i]); err != nil {
			return fmt.Errorf("tool_calls[%d]: %w", i, err)
		}
	}
	return nil
}

// thought appends the reasoning that a client gives back with a turn that says
// something.
func (w *contents) thought(m *chat.Message) {
	if m.Reasoning == "" || m.Text() == "" && len(m.Calls) == 0 {
		return
	}
	w.part()
	w.out = append(w.out, `"thought":true,"text":`...)
	w.out = append(jsonedit.AppendString(w.out, m.Reasoning), '}')
}

// call appends one functionCall part.
func (w *contents) call(c *chat.Call) error {
	arguments, err := objectText(c.Arguments)
	if err != nil {
		return err
	}
	id, signature := c.ID, c.Signature
	if before, after, ok := strings.Cut(id, signatureMark); ok {
		id = before
		if signature == "" {
			signature = after
		}
	}
	if w.names == nil {
		w.names = map[string]string{}
	}
	w.names[id] = c.Name
	w.part()
	w.out = append(w.out, `"functionCall":{"name":`...)
	w.out = jsonedit.AppendString(w.out, c.Name)
	w.out = append(append(w.out, `,"args":`...), arguments...)
	w.id(id)
	w.out = append(w.out, '}')
	if signature == "" && w.model.third() && !w.called {
		signature = skipSignature
	}
	w.called = true
	w.signature(signature)
	w.out = append(w.out, '}')
	return nil
}

// id appends the id of a call or its result, which Gemini knows from the third
// generation on.
func (w *contents) id(id string) {
	if id != "" && w.model.third() {
		w.out = append(w.out, `,"id":`...)
		w.out = jsonedit.AppendString(w.out, id)
	}
}

// toolResult appends one functionResponse part. Gemini knows the function by its
// name, not by the id of the call.
func (w *contents) toolResult(m *chat.Message) error {
	id, _, _ := strings.Cut(m.CallID, signatureMark)
	name, ok := w.names[id]
	switch {
	case ok && id != "":
	case m.Name != "":
		name = m.Name
	default:
		return fmt.Errorf("tool_call_id %q answers no tool call before it", m.CallID)
	}
	w.part()
	w.out = append(w.out, `"functionResponse":{"name":`...)
	w.out = jsonedit.AppendString(w.out, name)
	w.out = append(w.out, `,"response":`...)
	w.response(m.Text())
	if err := w.resultMedia(m); err != nil {
		return err
	}
	w.id(id)
	w.out = append(w.out, "}}"...)
	return nil
}

// response appends a tool's output, which must be an object: JSON objects as
// they are, other text wrapped in one.
func (w *contents) response(output string) {
	if v := jsontext.Value(output); v.Kind() == '{' && v.IsValid() {
		w.out = append(w.out, output...)
		return
	}
	w.out = append(w.out, `{"content":`...)
	w.out = jsonedit.AppendString(w.out, output)
	w.out = append(w.out, '}')
}

// resultMedia appends the images of a tool's output.
func (w *contents) resultMedia(m *chat.Message) error {
	begun := false
	for i := range m.Content {
		p := &m.Content[i]
		if p.Type == "text" || p.Type == "refusal" {
			continue
		}
		media, err := mediaOf(p)
		if err != nil {
			return fmt.Errorf("content[%d]: %w", i, err)
		}
		if !begun {
			begun = true
			w.out = append(w.out, `,"parts":[`...)
		}
		w.out = append(jsonedit.AppendComma(w.out), '{')
		w.out = append(media.append(w.out), '}')
	}
	if begun {
		w.out = append(w.out, ']')
	}
	return nil
}

// objectText returns the arguments of a call, which must be a JSON object; no
// text is the empty one.
func objectText(arguments string) (string, error) {
	v := jsontext.Value(arguments)
	switch {
	case strings.TrimSpace(arguments) == "":
		return "{}", nil
	case v.Kind() == '{' && v.IsValid():
		return arguments, nil
	}
	return "", fmt.Errorf("the arguments of a function call must be a JSON object")
}

// appendSystem appends systemInstruction, the system messages of the whole
// conversation, one part each, unless there are none.
func appendSystem(dst []byte, messages []chat.Message) ([]byte, error) {
	begun := false
	for i := range messages {
		m := &messages[i]
		if m.Role != "system" && m.Role != "developer" {
			continue
		}
		for j := range m.Content {
			if p := &m.Content[j]; p.Type != "text" && p.Type != "refusal" {
				return dst, upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: a system message takes text parts only, not %q", i, p.Type))
			}
		}
		text := m.Text()
		if text == "" {
			continue
		}
		if !begun {
			begun = true
			dst = append(jsonedit.AppendName(dst, "systemInstruction"), `{"parts":[`...)
		}
		dst = append(jsonedit.AppendComma(dst), `{"text":`...)
		dst = append(jsonedit.AppendString(dst, text), '}')
	}
	if begun {
		dst = append(dst, "]}"...)
	}
	return dst, nil
}
