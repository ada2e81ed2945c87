package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// ollamaFormat is Ollama's native API, behind a proxy that wants a key. The
// server gives calls no ids.
// https://docs.ollama.com/api/chat
type ollamaFormat struct{ key string }

type ollamaRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role      string   `json:"role"`
		Content   *string  `json:"content"`
		Thinking  string   `json:"thinking"`
		Images    []string `json:"images"`
		ToolCalls []struct {
			ID       string `json:"id"`
			Function struct {
				Name      string          `json:"name"`
				Arguments json.RawMessage `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls"`
		ToolName   string `json:"tool_name"`
		ToolCallID string `json:"tool_call_id"`
	} `json:"messages"`
	Tools []struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
			Strict      *bool           `json:"strict"`
		} `json:"function"`
	} `json:"tools"`
	Stream  *bool           `json:"stream"`
	Format  json.RawMessage `json:"format"`
	Think   json.RawMessage `json:"think"`
	Options struct {
		Temperature *float64 `json:"temperature"`
		NumPredict  int      `json:"num_predict"`
	} `json:"options"`
	Input json.RawMessage `json:"input"`
}

func (f ollamaFormat) read(c gatewaytest.Call) (*conversation, error) {
	if err := expectHeaders(c, "Authorization", "Bearer "+f.key); err != nil {
		return nil, err
	}
	var q ollamaRequest
	if err := strictly([]byte(c.Body), &q); err != nil {
		return nil, err
	}
	if q.Model != "qwen3:8b" && q.Model != "nomic-embed-text" {
		return nil, fmt.Errorf("model '%s' not found", q.Model)
	}
	out := &conversation{kind: "chat", model: q.Model, usage: true, thinks: string(q.Think) == "true", schema: q.Format}
	switch {
	case c.Path == "/api/embed":
		out.kind, out.inputs = "embeddings", texts(q.Input)
		return out, nil
	case c.Path != "/api/chat":
		return nil, fmt.Errorf("unknown path %s", c.Path)
	case q.Stream == nil:
		return nil, errors.New("stream is left out: this server streams then")
	}
	out.stream = *q.Stream
	for _, t := range q.Tools {
		if t.Type != "function" || len(t.Function.Parameters) == 0 {
			return nil, fmt.Errorf("a tool is %+v", t)
		}
		out.tools = append(out.tools, t.Function.Name)
	}
	return out, f.messages(out, &q)
}

func (f ollamaFormat) messages(out *conversation, q *ollamaRequest) error {
	for i, m := range q.Messages {
		if m.Content == nil {
			return fmt.Errorf("messages[%d] has no content", i)
		}
		s := said{role: m.Role, text: *m.Content, images: m.Images, id: m.ToolCallID, name: m.ToolName}
		if m.Thinking != "" {
			s.thoughts = []thought{{text: m.Thinking}}
		}
		for _, t := range m.ToolCalls {
			if len(t.Function.Arguments) == 0 || t.Function.Arguments[0] != '{' {
				return fmt.Errorf("messages[%d]: arguments must be an object: %s", i, t.Function.Arguments)
			}
			s.calls = append(s.calls, toolCall{id: t.ID, name: t.Function.Name, arguments: string(t.Function.Arguments)})
		}
		switch m.Role {
		case "system":
			out.system += s.text
			continue
		case "tool":
			if m.ToolName == "" {
				return fmt.Errorf("messages[%d]: a tool's answer needs tool_name", i)
			}
		case "user", "assistant":
		default:
			return fmt.Errorf("messages[%d] has the role %q", i, m.Role)
		}
		out.messages = append(out.messages, s)
	}
	full := keepsAll(out)
	out.memory = func(m said, was reply) error {
		if full && len(was.thoughts) > 0 && (len(m.thoughts) != 1 || m.thoughts[0].text != was.thoughts[0].text) {
			return fmt.Errorf("I thought %q, not %q", was.thoughts, m.thoughts)
		}
		return nil
	}
	return nil
}

func (f ollamaFormat) fail(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, object{"error": message})
}

func (f ollamaFormat) answer(w http.ResponseWriter, c *conversation, r reply) {
	if c.kind == "embeddings" {
		writeJSON(w, http.StatusOK, object{"model": c.model, "embeddings": r.vectors, "total_duration": 1, "load_duration": 1,
			"prompt_eval_count": promptTokens})
		return
	}
	thinking := ""
	if c.thinks && len(r.thoughts) > 0 {
		thinking = r.thoughts[0].text
	}
	if !c.stream {
		message := object{"role": "assistant", "content": r.all()}
		if thinking != "" {
			message["thinking"] = thinking
		}
		if len(r.calls) > 0 {
			message["tool_calls"] = ollamaCalls(r.calls)
		}
		writeJSON(w, http.StatusOK, ollamaLine(c, message, true))
		return
	}
	f.stream(w, c, r, thinking)
}

func (f ollamaFormat) stream(w http.ResponseWriter, c *conversation, r reply, thinking string) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	line := func(value object) {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		_, _ = fmt.Fprintf(w, "%s\n", text)
		gatewaytest.Flush(w)
	}
	if thinking != "" {
		for _, piece := range halves(thinking) {
			line(ollamaLine(c, object{"role": "assistant", "content": "", "thinking": piece}, false))
		}
	}
	for _, text := range r.text {
		line(ollamaLine(c, object{"role": "assistant", "content": text}, false))
	}
	if r.breaks {
		line(object{"error": r.message})
		return
	}
	for i := range r.calls { // a line for each
		line(ollamaLine(c, object{"role": "assistant", "content": "", "tool_calls": ollamaCalls(r.calls[i : i+1])}, false))
	}
	line(ollamaLine(c, object{"role": "assistant", "content": ""}, true))
}

func ollamaCalls(calls []toolCall) []object {
	var out []object
	for _, c := range calls {
		out = append(out, object{"function": object{"name": c.name, "arguments": json.RawMessage(c.arguments)}})
	}
	return out
}

func ollamaLine(c *conversation, message object, done bool) object {
	o := object{"model": c.model, "created_at": "2026-11-24T06:00:00.000000Z", "message": message, "done": done}
	if done {
		o["done_reason"], o["total_duration"], o["load_duration"] = "stop", 1200000, 300000
		o["prompt_eval_count"], o["prompt_eval_duration"], o["eval_count"], o["eval_duration"] = promptTokens, 100000, outputTokens, 800000
	}
	return o
}
