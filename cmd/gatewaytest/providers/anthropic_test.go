package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// anthropicFormat is Anthropic's Messages API. Like the real one it refuses
// members that it does not know, roles that do not alternate, empty text, calls
// whose results do not follow at once, and a thinking model's calls without the
// thinking that came before them.
// https://platform.claude.com/docs/en/api/messages
type anthropicFormat struct{ key string }

type anthropicRequest struct {
	Model     string           `json:"model"`
	MaxTokens int              `json:"max_tokens"`
	System    []anthropicBlock `json:"system"`
	Messages  []struct {
		Role    string           `json:"role"`
		Content []anthropicBlock `json:"content"`
	} `json:"messages"`
	Tools []struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description"`
		InputSchema json.RawMessage `json:"input_schema"`
		Strict      *bool           `json:"strict"`
	} `json:"tools"`
	ToolChoice *struct {
		Type   string `json:"type"`
		Name   string `json:"name"`
		Serial *bool  `json:"disable_parallel_tool_use"`
	} `json:"tool_choice"`
	Thinking *struct {
		Type    string `json:"type"`
		Budget  int    `json:"budget_tokens"`
		Display string `json:"display"`
	} `json:"thinking"`
	Output struct {
		Effort string `json:"effort"`
		Format struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
	Stream      bool     `json:"stream"`
	Temperature *float64 `json:"temperature"`
	Stop        []string `json:"stop_sequences"`
}

type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	Data      string          `json:"data"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   json.RawMessage `json:"content"`
	Source    struct {
		Type      string `json:"type"`
		MediaType string `json:"media_type"`
		Data      string `json:"data"`
	} `json:"source"`
}

func (f anthropicFormat) read(c gatewaytest.Call) (*conversation, error) {
	if err := expectHeaders(c, "X-Api-Key", f.key); err != nil {
		return nil, err
	}
	var q anthropicRequest
	err := strictly([]byte(c.Body), &q)
	switch {
	case err != nil:
		return nil, err
	case c.Path != "/v1/messages":
		return nil, fmt.Errorf("unknown path %s", c.Path)
	case c.Header.Get("Anthropic-Version") != "2023-06-01":
		return nil, errors.New("anthropic-version: header is required")
	case q.Model != "claude-sonnet-4-5":
		return nil, fmt.Errorf("model: %s", q.Model)
	case q.MaxTokens < 1:
		return nil, errors.New("max_tokens: must be greater than 0")
	case q.Thinking != nil && q.Thinking.Type == "enabled" && (q.Thinking.Budget < 1024 || q.Thinking.Budget >= q.MaxTokens):
		return nil, errors.New("max_tokens must be greater than thinking.budget_tokens, and that at least 1024")
	}
	out := &conversation{
		kind:   "chat",
		model:  q.Model,
		stream: q.Stream,
		usage:  true,
		thinks: q.Thinking != nil,
		schema: q.Output.Format.Schema,
	}
	for _, b := range q.System {
		out.system += b.Text
	}
	for _, t := range q.Tools {
		if len(t.InputSchema) == 0 {
			return nil, fmt.Errorf("tool %s has no input_schema", t.Name)
		}
		out.tools = append(out.tools, t.Name)
	}
	role := ""
	for i, m := range q.Messages {
		if m.Role == role || role == "" && m.Role != "user" {
			return nil, fmt.Errorf("messages.%d: roles must alternate and begin with user", i)
		}
		role = m.Role
		if err := f.turn(out, m.Role, m.Content); err != nil {
			return nil, fmt.Errorf("messages.%d: %w", i, err)
		}
	}
	return out, f.remember(out)
}

// turn reads one turn: a message of the assistant, or tool results and what the
// user says after them.
func (f anthropicFormat) turn(out *conversation, role string, blocks []anthropicBlock) error {
	if len(blocks) == 0 {
		return errors.New("content: at least one block is required")
	}
	m := said{role: role}
	for i, b := range blocks {
		switch b.Type {
		case "text":
			if b.Text == "" {
				return errors.New("text content blocks must be non-empty")
			}
			m.text += b.Text
		case "image":
			if b.Source.Type != "base64" || b.Source.MediaType != "image/png" {
				return fmt.Errorf("content.%d: source is %+v", i, b.Source)
			}
			m.images = append(m.images, b.Source.Data)
		case "thinking", "redacted_thinking":
			if len(m.calls) > 0 || m.text != "" {
				return fmt.Errorf("content.%d: thinking must come first", i)
			}
			m.thoughts = append(m.thoughts, thought{b.Thinking, b.Signature, b.Data})
		case "tool_use":
			m.calls = append(m.calls, toolCall{id: b.ID, name: b.Name, arguments: string(b.Input)})
		case "tool_result":
			if m.text != "" {
				return fmt.Errorf("content.%d: tool_result blocks must come first", i)
			}
			var text string
			if err := json.Unmarshal(b.Content, &text); err != nil {
				return err
			}
			out.messages = append(out.messages, said{role: "tool", text: text, id: b.ToolUseID})
		default:
			return fmt.Errorf("content.%d: unknown type %q", i, b.Type)
		}
	}
	if role == "assistant" || m.text != "" {
		out.messages = append(out.messages, m)
	}
	return nil
}

// remember sets what a conversation must still have of earlier answers, and
// checks the rule for models that think.
func (f anthropicFormat) remember(out *conversation) error {
	last := out.messages[len(out.messages)-1]
	for _, m := range out.messages {
		if out.thinks && last.role == "tool" && len(m.calls) > 0 && len(m.thoughts) == 0 {
			return errors.New("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, " +
				"but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block")
		}
	}
	full := keepsAll(out)
	out.memory = func(m said, was reply) error {
		for i := range m.calls {
			if m.calls[i].id != toolu(was.calls[i].id) {
				return fmt.Errorf("my call %s has become %s", toolu(was.calls[i].id), m.calls[i].id)
			}
		}
		if (full || len(m.thoughts) > 0) && fmt.Sprint(m.thoughts) != fmt.Sprint(was.thoughts) {
			return fmt.Errorf("I thought %q, not %q", was.thoughts, m.thoughts)
		}
		return nil
	}
	return nil
}

// toolu is the id of a call as Anthropic would have it.
func toolu(id string) string { return "toolu_01" + id[len("call_"):] }

func (f anthropicFormat) fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Request-Id", "req_anthropic")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "7")
	}
	writeJSON(w, status, anthropicError(status, message))
}

func anthropicError(status int, message string) object {
	kind := map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}[status]
	return object{"type": "error", "error": object{"type": kind, "message": message}, "request_id": "req_anthropic"}
}

func (f anthropicFormat) answer(w http.ResponseWriter, c *conversation, r reply) {
	w.Header().Set("Anthropic-Organization-Id", "org-of-the-provider")
	if c.stream {
		f.stream(w, c, r)
		return
	}
	message := anthropicMessage(r)
	message["content"], message["stop_reason"], message["usage"] = anthropicBlocks(c, r), anthropicStop(r), anthropicUsage(outputTokens)
	writeJSON(w, http.StatusOK, message)
}

func anthropicMessage(reply) object {
	return object{"id": "msg_01scripted", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929", "stop_sequence": nil}
}

func anthropicUsage(output int) object {
	return object{"input_tokens": promptTokens - cachedTokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": cachedTokens,
		"output_tokens": output, "service_tier": "standard"}
}

func anthropicStop(r reply) string {
	if len(r.calls) > 0 {
		return "tool_use"
	}
	return "end_turn"
}

func anthropicBlocks(c *conversation, r reply) []object {
	var out []object
	for _, t := range r.thoughts {
		switch {
		case !c.thinks:
		case t.redacted != "":
			out = append(out, object{"type": "redacted_thinking", "data": t.redacted})
		default:
			out = append(out, object{"type": "thinking", "thinking": t.text, "signature": t.signature})
		}
	}
	if text := r.all(); text != "" {
		out = append(out, object{"type": "text", "text": text})
	}
	for _, call := range r.calls {
		out = append(out, object{"type": "tool_use", "id": toolu(call.id), "name": call.name, "input": json.RawMessage(call.arguments)})
	}
	return out
}

// stream writes the same blocks as events.
func (f anthropicFormat) stream(w http.ResponseWriter, c *conversation, r reply) {
	event := func(kind string, more object) {
		more["type"] = kind
		writeEvent(w, kind, more)
	}
	message := anthropicMessage(r)
	message["content"], message["stop_reason"], message["usage"] = []object{}, nil, anthropicUsage(1)
	event("message_start", object{"message": message})
	event("ping", object{})
	for i, block := range anthropicBlocks(c, r) {
		start, deltas := anthropicDeltas(block, r)
		event("content_block_start", object{"index": i, "content_block": start})
		for _, delta := range deltas {
			event("content_block_delta", object{"index": i, "delta": delta})
		}
		if r.breaks {
			event("error", anthropicError(529, r.message))
			return
		}
		event("content_block_stop", object{"index": i})
	}
	event("message_delta", object{"delta": object{"stop_reason": anthropicStop(r), "stop_sequence": nil},
		"usage": object{"output_tokens": outputTokens}})
	event("message_stop", object{})
}

// anthropicDeltas parts a block into its start and what is added to it.
func anthropicDeltas(block object, r reply) (start object, deltas []object) {
	switch block["type"] {
	case "thinking":
		for _, piece := range halves(block["thinking"].(string)) {
			deltas = append(deltas, object{"type": "thinking_delta", "thinking": piece})
		}
		deltas = append(deltas, object{"type": "signature_delta", "signature": block["signature"]})
		return object{"type": "thinking", "thinking": "", "signature": ""}, deltas
	case "text":
		for _, piece := range r.text { // each from a source of its own
			citation := object{
				"type":             "char_location",
				"cited_text":       piece,
				"document_index":   0,
				"document_title":   nil,
				"start_char_index": 0,
				"end_char_index":   9,
			}
			deltas = append(deltas, object{"type": "text_delta", "text": piece}, object{"type": "citations_delta", "citation": citation})
		}
		return object{"type": "text", "text": ""}, deltas
	case "tool_use":
		for _, piece := range halves(string(block["input"].(json.RawMessage))) {
			deltas = append(deltas, object{"type": "input_json_delta", "partial_json": piece})
		}
		return object{"type": "tool_use", "id": block["id"], "name": block["name"], "input": object{}}, deltas
	}
	return block, nil
}
