package providers

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/isthmus-proxy/isthmus/cmd/gatewaytest"
)

// openAIFormat is OpenAI's API, or Azure's, which differs in the address, the
// header of the key, the content filter's reports and the errors.
// https://platform.openai.com/docs/api-reference/chat
type openAIFormat struct {
	key   string
	azure bool
}

type openAIRequest struct {
	Model         string          `json:"model"`
	Messages      []openAIMessage `json:"messages"`
	Stream        bool            `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Type     string `json:"type"`
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
			Strict      *bool           `json:"strict"`
		} `json:"function"`
	} `json:"tools"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
			Strict *bool           `json:"strict"`
		} `json:"json_schema"`
	} `json:"response_format"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	ParallelToolCalls   *bool           `json:"parallel_tool_calls"`
	Temperature         *float64        `json:"temperature"`
	MaxTokens           int             `json:"max_tokens"`
	MaxCompletionTokens int             `json:"max_completion_tokens"`
	ReasoningEffort     string          `json:"reasoning_effort"`
	N                   int             `json:"n"`
	Prompt              json.RawMessage `json:"prompt"`
	Input               json.RawMessage `json:"input"`
	EncodingFormat      string          `json:"encoding_format"`
}

// openAIMessage is read leniently: OpenAI overlooks members it does not know.
type openAIMessage struct {
	Role       string
	Content    json.RawMessage
	ToolCalls  []openAICall
	ToolCallID string
}

type openAICall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct{ Name, Arguments string }
}

func (m *openAIMessage) UnmarshalJSON(text []byte) error {
	var w struct {
		Role       string          `json:"role"`
		Content    json.RawMessage `json:"content"`
		ToolCalls  []openAICall    `json:"tool_calls"`
		ToolCallID string          `json:"tool_call_id"`
	}
	err := json.Unmarshal(text, &w)
	*m = openAIMessage(w)
	return err
}

func (f openAIFormat) read(c gatewaytest.Call) (*conversation, error) {
	header, value := "Authorization", "Bearer "+f.key
	prefix, query := "/v1/", ""
	if f.azure {
		header, value, prefix, query = "Api-Key", f.key, "/openai/deployments/prod/", "?api-version=2024-10-21"
	}
	if err := expectHeaders(c, header, value); err != nil {
		return nil, err
	}
	var q openAIRequest
	if err := strictly([]byte(c.Body), &q); err != nil {
		return nil, err
	}
	out := &conversation{
		model:  q.Model,
		stream: q.Stream,
		usage:  q.StreamOptions.IncludeUsage,
		base64: q.EncodingFormat == "base64",
		thinks: q.ReasoningEffort != "",
	}
	switch c.Path {
	case prefix + "chat/completions" + query:
		out.kind = "chat"
	case prefix + "completions" + query:
		out.kind, out.inputs = "completions", texts(q.Prompt)
	case prefix + "embeddings" + query:
		out.kind, out.inputs = "embeddings", texts(q.Input)
	default:
		return nil, fmt.Errorf("unknown path %s", c.Path)
	}
	if !f.azure && q.Model != "gpt-4o" && q.Model != "text-embedding-3-small" {
		return nil, fmt.Errorf("the model %q does not exist", q.Model)
	}
	for _, t := range q.Tools {
		if t.Type != "function" || len(t.Function.Parameters) == 0 {
			return nil, fmt.Errorf("a tool is %+v", t)
		}
		out.tools = append(out.tools, t.Function.Name)
	}
	if q.ResponseFormat.Type == "json_schema" {
		out.schema = q.ResponseFormat.JSONSchema.Schema
	}
	return out, f.readMessages(out, q.Messages)
}

func (f openAIFormat) readMessages(out *conversation, messages []openAIMessage) error {
	for i, m := range messages {
		s := said{role: m.Role, id: m.ToolCallID}
		var err error
		if s.text, s.images, err = openAIContent(m.Content); err != nil {
			return fmt.Errorf("messages[%d]: %w", i, err)
		}
		for _, t := range m.ToolCalls {
			if t.Type != "function" || t.ID == "" {
				return fmt.Errorf("messages[%d] has a call %+v", i, t)
			}
			s.calls = append(s.calls, toolCall{id: t.ID, name: t.Function.Name, arguments: t.Function.Arguments})
		}
		switch m.Role {
		case "system", "developer":
			out.system += s.text
			continue
		case "user", "assistant", "tool":
		default:
			return fmt.Errorf("messages[%d] has the role %q", i, m.Role)
		}
		out.messages = append(out.messages, s)
	}
	out.memory = func(m said, was reply) error {
		for i := range m.calls {
			if m.calls[i].id != was.calls[i].id {
				return fmt.Errorf("my call %s has become %s", was.calls[i].id, m.calls[i].id)
			}
		}
		return nil
	}
	return nil
}

// openAIContent reads a string, null, or parts.
func openAIContent(raw json.RawMessage) (text string, images []string, err error) {
	if len(raw) == 0 || raw[0] != '[' {
		if len(raw) > 0 {
			err = json.Unmarshal(raw, &text)
		}
		return text, nil, err
	}
	var parts []struct {
		Type     string               `json:"type"`
		Text     string               `json:"text"`
		ImageURL struct{ URL string } `json:"image_url"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", nil, err
	}
	for _, p := range parts {
		switch p.Type {
		case "text":
			text += p.Text
		case "image_url":
			images = append(images, strings.TrimPrefix(p.ImageURL.URL, "data:image/png;base64,"))
		default:
			return "", nil, fmt.Errorf("a part is of type %q", p.Type)
		}
	}
	return text, images, nil
}

// texts reads a string or an array of strings.
func texts(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) != nil {
		list = []string{""}
		_ = json.Unmarshal(raw, &list[0])
	}
	return list
}

func (f openAIFormat) fail(w http.ResponseWriter, status int, message string) {
	if f.azure && status == http.StatusUnauthorized {
		writeJSON(w, status, object{"statusCode": status, "message": message}) // the API gateway before the service
		return
	}
	if f.azure {
		writeJSON(w, status, object{"error": object{"code": fmt.Sprint(status), "message": message}})
		return
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "7")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "0")
	}
	writeJSON(w, status, object{"error": openAIError(status, message)})
}

func openAIError(status int, message string) object {
	kind, code := "invalid_request_error", any(nil)
	switch {
	case status == http.StatusTooManyRequests:
		kind, code = "tokens", "rate_limit_exceeded"
	case status >= http.StatusInternalServerError:
		kind = "server_error"
	}
	return object{"message": message, "type": kind, "param": nil, "code": code}
}

func (f openAIFormat) answer(w http.ResponseWriter, c *conversation, r reply) {
	w.Header().Set("Openai-Organization", "org-of-the-provider")
	w.Header().Set("Set-Cookie", "__cf_bm=provider; path=/")
	w.Header().Set("X-Request-Id", "req_scripted")
	switch {
	case c.kind == "embeddings":
		writeJSON(w, http.StatusOK, openAIEmbeddings(c, r))
	case c.stream:
		f.stream(w, c, r)
	case c.kind == "completions":
		writeJSON(w, http.StatusOK, object{"id": "cmpl-1", "object": "text_completion", "created": 1764000000, "model": "gpt-3.5-turbo-instruct",
			"choices": []object{{"text": r.all(), "index": 0, "logprobs": nil, "finish_reason": "stop"}}, "usage": openAIUsage()})
	default:
		message := object{"role": "assistant", "content": r.all(), "refusal": nil, "annotations": []string{}}
		if r.all() == "" {
			message["content"] = nil
		}
		if len(r.calls) > 0 {
			message["tool_calls"] = openAICalls(r.calls)
		}
		choice := object{"index": 0, "message": message, "logprobs": nil, "finish_reason": openAIFinish(r)}
		answer := object{"id": "chatcmpl-1", "object": "chat.completion", "created": 1764000000, "model": "gpt-4o-2024-08-06",
			"usage": openAIUsage(), "service_tier": "default", "system_fingerprint": "fp_1"}
		if f.azure {
			choice["content_filter_results"] = object{"hate": object{"filtered": false, "severity": "safe"}}
			answer["prompt_filter_results"] = []object{{"prompt_index": 0, "content_filter_results": object{}}}
		}
		answer["choices"] = []object{choice}
		writeJSON(w, http.StatusOK, answer)
	}
}

func openAIUsage() object {
	return object{"prompt_tokens": promptTokens, "completion_tokens": outputTokens, "total_tokens": totalTokens,
		"prompt_tokens_details":     object{"cached_tokens": cachedTokens, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": reasoningTokens, "audio_tokens": 0}}
}

func openAIFinish(r reply) string {
	if len(r.calls) > 0 {
		return "tool_calls"
	}
	return "stop"
}

func openAICalls(calls []toolCall) []object {
	var out []object
	for _, c := range calls {
		out = append(out, object{"id": c.id, "type": "function", "function": object{"name": c.name, "arguments": c.arguments}})
	}
	return out
}

func openAIEmbeddings(c *conversation, r reply) object {
	var data []object
	for i, v := range r.vectors {
		var embedding any = v
		if c.base64 {
			var raw []byte
			for _, x := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
			}
			embedding = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, object{"object": "embedding", "index": i, "embedding": embedding})
	}
	return object{
		"object": "list",
		"data":   data,
		"model":  "text-embedding-3-small",
		"usage":  object{"prompt_tokens": promptTokens, "total_tokens": promptTokens},
	}
}

// stream writes chunks as OpenAI does: the role first, usage last, and null in
// the usage of every other chunk when it is asked for.
func (f openAIFormat) stream(w http.ResponseWriter, c *conversation, r reply) {
	chunk := func(choices []object, usage any) {
		o := object{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764000000, "model": "gpt-4o-2024-08-06",
			"service_tier": "default", "system_fingerprint": "fp_1", "choices": choices, "obfuscation": "xY3"}
		if c.kind == "completions" {
			o["object"] = "text_completion"
		}
		if c.usage {
			o["usage"] = usage
		}
		writeEvent(w, "", o)
	}
	delta := func(d object, finish any) {
		chunk([]object{{"index": 0, "delta": d, "logprobs": nil, "finish_reason": finish}}, nil)
	}
	if f.azure {
		writeEvent(w, "", object{"id": "", "object": "", "created": 0, "model": "", "choices": []object{},
			"prompt_filter_results": []object{{"prompt_index": 0, "content_filter_results": object{}}}})
	}
	if c.kind == "completions" {
		for _, text := range r.text {
			chunk([]object{{"index": 0, "text": text, "logprobs": nil, "finish_reason": nil}}, nil)
		}
		chunk([]object{{"index": 0, "text": "", "logprobs": nil, "finish_reason": "stop"}}, nil)
	} else {
		delta(object{"role": "assistant", "content": "", "refusal": nil}, nil)
		for _, text := range r.text {
			delta(object{"content": text}, nil)
		}
		if r.breaks {
			writeEvent(w, "", object{"error": openAIError(http.StatusInternalServerError, r.message)})
			return
		}
		streamCalls(delta, r.calls)
		delta(object{}, openAIFinish(r))
	}
	if c.usage {
		chunk([]object{}, openAIUsage())
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

func streamCalls(delta func(object, any), calls []toolCall) {
	for i, c := range calls {
		delta(object{"tool_calls": []object{{"index": i, "id": c.id, "type": "function", "function": object{"name": c.name, "arguments": ""}}}},
			nil)
		for _, piece := range halves(c.arguments) {
			delta(object{"tool_calls": []object{{"index": i, "function": object{"arguments": piece}}}}, nil)
		}
	}
}
