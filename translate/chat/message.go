package chat

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/isthmus-proxy/isthmus/translate/jsonedit"
	"github.com/isthmus-proxy/isthmus/translate/upstream"
)

// Message is one message of a conversation.
// https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
type Message struct {
	Role    string // system, developer, user, assistant, tool, function
	Content []Part // a string is one text part; nil when null or absent
	Name    string // participant, or the function of a "function" message
	Refusal string // assistant
	Calls   []Call // assistant: tool_calls, or the legacy function_call as one without id
	CallID  string // tool: the call this answers
	// Reasoning and Thinking are what an earlier answer of this gateway carried
	// and a client gives back: reasoning_content and thinking_blocks.
	Reasoning    string
	Thinking     []ThinkingBlock
	CacheControl jsontext.Value // Anthropic's cache_control on the whole message
	// Signature is Gemini's thought signature of the text part, in
	// provider_specific_fields: as thought_signature, or the first of LiteLLM's
	// list thought_signatures that no tool call has.
	Signature string
}

// Part is one content part.
type Part struct {
	Type         string // text, refusal, image_url, input_audio, file, …
	Text         string // text and refusal
	Image        Image
	Audio        Audio
	File         File
	CacheControl jsontext.Value
	Raw          jsontext.Value // the part as the client wrote it; nil for string content
}

// Image is an image_url part; URL is http(s), data: or a provider's own scheme.
type Image struct {
	URL    string `json:"url"`
	Detail string `json:"detail"`
	Format string `json:"format"` // LiteLLM's media type hint
}

// Audio is an input_audio part.
type Audio struct {
	Data   string `json:"data"`   // base64
	Format string `json:"format"` // wav, mp3
}

// File is a file part: file_data is a data: URL, file_id an id or a URL.
type File struct {
	Data   string `json:"file_data"`
	ID     string `json:"file_id"`
	Name   string `json:"filename"`
	Format string `json:"format"`
}

// Call is a tool call the assistant made.
type Call struct {
	ID        string
	Type      string // "function" unless the client says otherwise
	Name      string
	Arguments string // JSON text as the model wrote it; may be ""
	// Signature is Gemini's thought signature, carried in
	// provider_specific_fields.thought_signature (LiteLLM's place) or
	// extra_content.google.thought_signature (Google's own).
	Signature    string
	CacheControl jsontext.Value // Anthropic's
}

// ThinkingBlock is one reasoning block that must go back to its provider
// unchanged: type "thinking" with a signature, or "redacted_thinking" with data.
type ThinkingBlock struct {
	Type      string `json:"type"`
	Thinking  string `json:"thinking,omitempty"`
	Signature string `json:"signature,omitempty"`
	Data      string `json:"data,omitempty"`
}

// Text returns the text parts of the content as they stand, concatenated.
func (m *Message) Text() string {
	if len(m.Content) == 1 {
		return m.Content[0].Text
	}
	var text []byte
	for i := range m.Content {
		text = append(text, m.Content[i].Text...)
	}
	return string(text)
}

type specificFields struct {
	ThoughtSignature  string   `json:"thought_signature"`
	ThoughtSignatures []string `json:"thought_signatures"`
}

type googleExtra struct {
	Google struct {
		ThoughtSignature string `json:"thought_signature"`
	} `json:"google"`
}

type wireMessage struct {
	Role         string          `json:"role"`
	Content      wireContent     `json:"content"`
	Name         string          `json:"name"`
	Refusal      string          `json:"refusal"`
	ToolCalls    []wireCall      `json:"tool_calls"`
	FunctionCall *wireFunction   `json:"function_call"`
	ToolCallID   string          `json:"tool_call_id"`
	Reasoning    string          `json:"reasoning_content"`
	Thinking     []ThinkingBlock `json:"thinking_blocks"`
	CacheControl jsontext.Value  `json:"cache_control"`
	Specific     specificFields  `json:"provider_specific_fields"`
}

// wireContent is content: a string, which is most of most requests and so is read
// in one go, or anything else as it is.
type wireContent struct {
	text  []Part // of a string
	other jsontext.Value
}

func (c *wireContent) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '"' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		c.text = []Part{{Type: "text", Text: token.String()}}
		return nil
	}
	value, err := dec.ReadValue()
	c.other = value.Clone()
	return err
}

type wireFunction struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type wireCall struct {
	ID           string         `json:"id"`
	Type         string         `json:"type"`
	Function     wireFunction   `json:"function"`
	Specific     specificFields `json:"provider_specific_fields"`
	Extra        googleExtra    `json:"extra_content"`
	CacheControl jsontext.Value `json:"cache_control"`
}

type wirePart struct {
	Type         string         `json:"type"`
	Text         string         `json:"text"`
	Refusal      string         `json:"refusal"`
	ImageURL     jsontext.Value `json:"image_url"`
	Audio        Audio          `json:"input_audio"`
	File         File           `json:"file"`
	CacheControl jsontext.Value `json:"cache_control"`
}

func (r *Request) decodeMessages() ([]Message, error) {
	value, ok := r.Body.Get("messages")
	if !ok {
		return nil, upstream.BadRequest("messages", "missing required parameter: 'messages'")
	}
	if value.Kind() != '[' {
		return nil, upstream.BadRequest("messages", "'messages' must be an array of messages")
	}
	messages := []Message{}
	for raw := range jsonedit.Elements(value) {
		var m Message
		if err := m.decode(raw); err != nil {
			return nil, upstream.BadRequest("messages", fmt.Sprintf("messages[%d]: %s", len(messages), err))
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func (m *Message) decode(raw jsontext.Value) error {
	var w wireMessage
	if err := json.Unmarshal(raw, &w); err != nil {
		return wrongType(err)
	}
	if w.Role == "" {
		return fmt.Errorf("missing 'role'")
	}
	*m = Message{
		Role: w.Role, Name: w.Name, Refusal: w.Refusal, CallID: w.ToolCallID, Reasoning: w.Reasoning,
		Thinking: w.Thinking, CacheControl: w.CacheControl, Signature: w.Specific.ThoughtSignature,
	}
	for _, c := range w.ToolCalls {
		m.Calls = append(m.Calls, c.call())
	}
	if w.FunctionCall != nil {
		m.Calls = append(m.Calls, Call{Type: "function", Name: w.FunctionCall.Name, Arguments: w.FunctionCall.Arguments})
	}
	if list := w.Specific.ThoughtSignatures; m.Signature == "" && len(list) > 0 &&
		!slices.ContainsFunc(m.Calls, func(c Call) bool { return c.Signature == list[0] }) {
		m.Signature = list[0]
	}
	var err error
	if m.Content = w.Content.text; m.Content == nil {
		m.Content, err = decodeParts(w.Content.other)
	}
	return err
}

func (w wireCall) call() Call {
	signature := w.Specific.ThoughtSignature
	if signature == "" {
		signature = w.Extra.Google.ThoughtSignature
	}
	kind := w.Type
	if kind == "" {
		kind = "function"
	}
	return Call{
		ID: w.ID, Type: kind, Name: w.Function.Name, Arguments: w.Function.Arguments, Signature: signature, CacheControl: w.CacheControl,
	}
}

func decodeParts(raw jsontext.Value) ([]Part, error) {
	switch raw.Kind() {
	case 0, 'n':
		return nil, nil
	case '[':
		parts := []Part{}
		for element := range jsonedit.Elements(raw) {
			var p Part
			if err := p.decode(element); err != nil {
				return nil, fmt.Errorf("content[%d]: %w", len(parts), err)
			}
			parts = append(parts, p)
		}
		return parts, nil
	}
	return nil, fmt.Errorf("'content' must be a string or an array of content parts")
}

func (p *Part) decode(raw jsontext.Value) error {
	if raw.Kind() == '"' {
		p.Type = "text"
		return json.Unmarshal(raw, &p.Text)
	}
	var w wirePart
	if err := json.Unmarshal(raw, &w); err != nil {
		return wrongType(err)
	}
	*p = Part{Type: w.Type, Text: w.Text, Audio: w.Audio, File: w.File, CacheControl: w.CacheControl, Raw: raw}
	switch {
	case w.Type == "":
		return fmt.Errorf("missing 'type'")
	case w.Type == "refusal":
		p.Text = w.Refusal
	case w.ImageURL.Kind() == '"': // the short form some clients send
		return json.Unmarshal(w.ImageURL, &p.Image.URL)
	case w.ImageURL.Kind() == '{':
		if err := json.Unmarshal(w.ImageURL, &p.Image); err != nil {
			return wrongType(err)
		}
	case w.Type == "image_url":
		return fmt.Errorf("'image_url' must be an object with a 'url'")
	}
	return nil
}

// wrongType words a decoding error for the client without quoting its content.
func wrongType(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("wrong type at %q: a JSON %s is not expected there", semantic.JSONPointer, semantic.JSONKind)
	}
	return err
}
