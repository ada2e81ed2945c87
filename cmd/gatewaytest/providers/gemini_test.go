package providers

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// geminiFormat is Google AI Studio's generateContent. Like the real one it
// refuses members that it does not know, roles that do not alternate, results
// that do not stand as many as the calls before them, and for the models of
// generation 3 a call without its thought signature.
// https://ai.google.dev/api/generate-content
type geminiFormat struct{ key string }

// skippedSignature is what Google documents for a history without signatures.
const skippedSignature = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="

type geminiRequest struct {
	Contents          []geminiContent `json:"contents"`
	SystemInstruction geminiContent   `json:"systemInstruction"`
	Tools             []struct {
		FunctionDeclarations []struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"functionDeclarations"`
	} `json:"tools"`
	ToolConfig json.RawMessage `json:"toolConfig"`
	Config     struct {
		Temperature      *float64        `json:"temperature"`
		MaxOutputTokens  int             `json:"maxOutputTokens"`
		ResponseMimeType string          `json:"responseMimeType"`
		JSONSchema       json.RawMessage `json:"responseJsonSchema"`
		Schema           json.RawMessage `json:"responseSchema"`
		Thinking         *struct {
			Include bool   `json:"includeThoughts"`
			Level   string `json:"thinkingLevel"`
			Budget  *int   `json:"thinkingBudget"`
		} `json:"thinkingConfig"`
	} `json:"generationConfig"`
	Requests []struct {
		Model   string        `json:"model"`
		Content geminiContent `json:"content"`
	} `json:"requests"`
}

type geminiContent struct {
	Role  string       `json:"role"`
	Parts []geminiPart `json:"parts"`
}

type geminiPart struct {
	Text      *string `json:"text"`
	Thought   bool    `json:"thought"`
	Signature string  `json:"thoughtSignature"`
	Inline    *struct {
		MimeType string `json:"mimeType"`
		Data     string `json:"data"`
	} `json:"inlineData"`
	Call *struct {
		ID   string          `json:"id"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args"`
	} `json:"functionCall"`
	Response *struct {
		ID       string          `json:"id"`
		Name     string          `json:"name"`
		Response json.RawMessage `json:"response"`
	} `json:"functionResponse"`
}

func (f geminiFormat) read(c gatewaytest.Call) (*conversation, error) {
	if err := expectHeaders(c, "X-Goog-Api-Key", f.key); err != nil {
		return nil, err
	}
	var q geminiRequest
	if err := strictly([]byte(c.Body), &q); err != nil {
		return nil, err
	}
	model, method, _ := strings.Cut(strings.TrimPrefix(c.Path, "/v1beta/models/"), ":")
	out := &conversation{kind: "chat", model: model, usage: true}
	switch {
	case model != "gemini-2.5-flash" && model != "gemini-3-pro-preview" && model != "gemini-embedding-001":
		return nil, fmt.Errorf("models/%s is not found for API version v1beta", model)
	case method == "batchEmbedContents":
		out.kind = "embeddings"
		for _, e := range q.Requests {
			if e.Model != "models/"+model || len(e.Content.Parts) != 1 || e.Content.Parts[0].Text == nil {
				return nil, fmt.Errorf("an embedding is asked for as %+v", e)
			}
			out.inputs = append(out.inputs, *e.Content.Parts[0].Text)
		}
		return out, nil
	case method == "streamGenerateContent?alt=sse":
		out.stream = true
	case method != "generateContent":
		return nil, fmt.Errorf("unknown path %s", c.Path)
	}
	return out, f.content(out, &q)
}

func (f geminiFormat) content(out *conversation, q *geminiRequest) error {
	third := strings.HasPrefix(out.model, "gemini-3")
	if t := q.Config.Thinking; t != nil {
		out.thinks = t.Include
		if third == (t.Level == "") {
			return fmt.Errorf("thinkingConfig is %+v for %s", t, out.model)
		}
	}
	out.schema = q.Config.JSONSchema
	if out.schema == nil {
		out.schema = q.Config.Schema
	}
	if out.schema != nil && q.Config.ResponseMimeType != "application/json" {
		return errors.New("a schema needs response_mime_type application/json")
	}
	for _, t := range q.Tools {
		for _, d := range t.FunctionDeclarations {
			if strings.Contains(string(d.Parameters), "additionalProperties") || strings.Contains(string(d.Parameters), "$") {
				return fmt.Errorf("unknown name in the parameters of %s: %s", d.Name, d.Parameters)
			}
			out.tools = append(out.tools, d.Name)
		}
	}
	for _, p := range q.SystemInstruction.Parts {
		out.system += *p.Text
	}
	role := ""
	for i, turn := range q.Contents {
		if turn.Role == role || turn.Role != "user" && turn.Role != "model" {
			return fmt.Errorf("contents[%d] has the role %q after %q", i, turn.Role, role)
		}
		role = turn.Role
		if err := f.turn(out, turn, third); err != nil {
			return fmt.Errorf("contents[%d]: %w", i, err)
		}
	}
	f.remember(out, third)
	return nil
}

func (f geminiFormat) turn(out *conversation, turn geminiContent, third bool) error {
	if len(turn.Parts) == 0 {
		return errors.New("parts must not be empty")
	}
	m := said{role: "user"}
	if turn.Role == "model" {
		m.role = "assistant"
	}
	for i, p := range turn.Parts {
		switch {
		case p.Thought: // the model's own, given back
		case p.Text != nil:
			m.text += *p.Text
			if p.Signature != "" {
				m.thoughts = append(m.thoughts, thought{signature: p.Signature})
			}
		case p.Inline != nil && p.Inline.MimeType == "image/png":
			m.images = append(m.images, p.Inline.Data)
		case p.Call != nil:
			if third && len(m.calls) == 0 && p.Signature == "" {
				return fmt.Errorf("function call `%s` is missing a thought_signature in functionCall parts", p.Call.Name)
			}
			if !third && p.Call.ID != "" {
				return fmt.Errorf("parts[%d]: the model gave no id, %q came back", i, p.Call.ID)
			}
			m.calls = append(m.calls, toolCall{id: p.Call.ID, name: p.Call.Name, arguments: string(p.Call.Args), signature: p.Signature})
		case p.Response != nil:
			if len(p.Response.Response) == 0 || p.Response.Response[0] != '{' {
				return fmt.Errorf("parts[%d]: response must be an object", i)
			}
			out.messages = append(out.messages, said{role: "tool", id: p.Response.ID, name: p.Response.Name, text: wrapped(p.Response.Response)})
		default:
			return fmt.Errorf("parts[%d]: required oneof field 'data' must have one initialized field", i)
		}
	}
	if m.role == "assistant" || m.text != "" {
		out.messages = append(out.messages, m)
	}
	return nil
}

// wrapped returns the text in {"content":"text"}, or an object as it is.
func wrapped(response json.RawMessage) string {
	var w map[string]any
	_ = json.Unmarshal(response, &w)
	if text, ok := w["content"].(string); ok && len(w) == 1 {
		return text
	}
	return string(response)
}

func (f geminiFormat) remember(out *conversation, third bool) {
	full := keepsAll(out)
	out.memory = func(m said, was reply) error {
		if third && full && was.signature != "" && (len(m.thoughts) != 1 || m.thoughts[0].signature != was.signature) {
			return fmt.Errorf("I signed my text with %q, not %v", was.signature, m.thoughts)
		}
		for i, call := range m.calls {
			want := was.calls[i].signature
			if third && !full && i == 0 {
				want = skippedSignature
			}
			if full && call.signature != want || third && call.signature != want {
				return fmt.Errorf("I signed call %d with %q, not %q", i, want, call.signature)
			}
			if third && call.id != was.calls[i].id {
				return fmt.Errorf("my call %s has become %s", was.calls[i].id, call.id)
			}
		}
		return nil
	}
}

func (f geminiFormat) fail(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, geminiError(status, message))
}

func geminiError(status int, message string) object {
	kind := map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
		429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}[status]
	details := []object{}
	if status == http.StatusTooManyRequests {
		details = append(details, object{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "6.5s"})
	}
	return object{"error": object{"code": status, "message": message, "status": kind, "details": details}}
}

func (f geminiFormat) answer(w http.ResponseWriter, c *conversation, r reply) {
	if c.kind == "embeddings" {
		var list []object
		for _, v := range r.vectors {
			list = append(list, object{"values": v})
		}
		writeJSON(w, http.StatusOK, object{"embeddings": list})
		return
	}
	parts := geminiParts(c, r)
	if !c.stream {
		writeJSON(w, http.StatusOK, geminiResponse(c, parts, "STOP"))
		return
	}
	for i, part := range parts {
		finish := ""
		if i == len(parts)-1 && len(r.calls) == 0 && !r.breaks {
			finish = "STOP"
		}
		geminiEvent(w, geminiResponse(c, []object{part}, finish))
	}
	switch {
	case r.breaks:
		geminiEvent(w, geminiError(http.StatusServiceUnavailable, r.message))
	case len(r.calls) > 0: // the reason comes after the calls, with an empty text
		geminiEvent(w, geminiResponse(c, []object{{"text": ""}}, "STOP"))
	}
}

// geminiEvent ends its lines as Google does.
func geminiEvent(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: %s\r\n\r\n", text)
	gatewaytest.Flush(w)
}

func geminiParts(c *conversation, r reply) []object {
	third := strings.HasPrefix(c.model, "gemini-3")
	var parts []object
	for _, t := range r.thoughts {
		if c.thinks && t.text != "" {
			parts = append(parts, object{"text": t.text, "thought": true})
		}
	}
	for _, text := range r.text {
		parts = append(parts, object{"text": text})
	}
	if r.signature != "" && third {
		parts[len(parts)-1]["thoughtSignature"] = r.signature
	}
	for _, call := range r.calls {
		function := object{"name": call.name, "args": json.RawMessage(call.arguments)}
		if third {
			function["id"] = call.id
		}
		part := object{"functionCall": function}
		if call.signature != "" {
			part["thoughtSignature"] = call.signature
		}
		parts = append(parts, part)
	}
	return parts
}

func geminiResponse(c *conversation, parts []object, finish string) object {
	candidate := object{"content": object{"role": "model", "parts": parts}, "index": 0}
	if finish != "" {
		candidate["finishReason"] = finish
	}
	return object{"candidates": []object{candidate}, "modelVersion": c.model, "responseId": "resp-scripted",
		"usageMetadata": object{"promptTokenCount": promptTokens, "cachedContentTokenCount": cachedTokens, "totalTokenCount": totalTokens,
			"candidatesTokenCount": outputTokens - reasoningTokens, "thoughtsTokenCount": reasoningTokens}}
}
