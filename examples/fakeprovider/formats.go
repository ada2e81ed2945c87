package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// request is what the four formats' requests have in common.
type request struct {
	Model         string `json:"model"`
	Stream        *bool  `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Contents []struct {
		Parts json.RawMessage `json:"parts"`
	} `json:"contents"`
	Prompt         json.RawMessage `json:"prompt"`
	Input          json.RawMessage `json:"input"`
	EncodingFormat string          `json:"encoding_format"`
	Requests       []struct {
		Content struct {
			Parts json.RawMessage `json:"parts"`
		} `json:"content"`
	} `json:"requests"`
}

// question is the last thing the user said.
func (q request) question() string {
	switch {
	case len(q.Messages) > 0:
		return textOf(q.Messages[len(q.Messages)-1].Content)
	case len(q.Contents) > 0:
		return textOf(q.Contents[len(q.Contents)-1].Parts)
	}
	return strings.Join(stringsOf(q.Prompt), "\n")
}

func (q request) streaming(otherwise bool) bool {
	if q.Stream == nil {
		return otherwise
	}
	return *q.Stream
}

const embeddingSize = 64

// handler serves all four formats; the path tells them apart.
func handler(pause time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q request
		if r.Method != http.MethodPost {
			writeJSON(w, http.StatusOK, object{"status": "fakeprovider is up"})
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			writeJSON(w, http.StatusBadRequest, object{"error": object{"message": err.Error(), "type": "invalid_request_error"}})
			return
		}
		path := r.URL.Path
		switch {
		case strings.HasSuffix(path, "/chat/completions"):
			openAIChat(w, r, q, pause)
		case strings.HasSuffix(path, "/completions"):
			a := answerTo(q.question())
			writeJSON(w, http.StatusOK, object{"id": "cmpl-fake", "object": "text_completion", "created": time.Now().Unix(), "model": q.Model,
				"choices": []object{{"index": 0, "text": a.text(), "logprobs": nil, "finish_reason": "stop"}}, "usage": openAIUsage(a)})
		case strings.HasSuffix(path, "/embeddings"):
			openAIEmbeddings(w, q)
		case strings.HasSuffix(path, "/messages"):
			anthropicMessages(w, r, q, pause)
		case strings.HasSuffix(path, ":generateContent"), strings.HasSuffix(path, ":streamGenerateContent"):
			geminiContent(w, r, q, pause)
		case strings.HasSuffix(path, ":batchEmbedContents"):
			geminiEmbeddings(w, q)
		case strings.HasSuffix(path, "/api/chat"):
			ollamaChat(w, r, q, pause)
		case strings.HasSuffix(path, "/api/embed"):
			ollamaEmbeddings(w, q)
		default:
			writeJSON(w, http.StatusNotFound, object{"error": object{"message": "fakeprovider has no " + path, "type": "invalid_request_error"}})
		}
	})
}

func openAIUsage(a answer) object {
	return object{"prompt_tokens": a.prompt, "completion_tokens": len(a.tokens), "total_tokens": a.total()}
}

func openAIChat(w http.ResponseWriter, r *http.Request, q request, pause time.Duration) {
	a := answerTo(q.question())
	id, created := fmt.Sprintf("chatcmpl-fake%d", time.Now().UnixNano()), time.Now().Unix()
	if !q.streaming(false) {
		writeJSON(w, http.StatusOK, object{"id": id, "object": "chat.completion", "created": created, "model": q.Model,
			"choices": []object{{"index": 0, "message": object{"role": "assistant", "content": a.text(), "refusal": nil}, "logprobs": nil,
				"finish_reason": "stop"}},
			"usage": openAIUsage(a)})
		return
	}
	s := newStream(w, r, "text/event-stream", pause)
	chunk := func(choices []object, usage any) object {
		o := object{"id": id, "object": "chat.completion.chunk", "created": created, "model": q.Model, "choices": choices}
		if q.StreamOptions.IncludeUsage {
			o["usage"] = usage
		}
		return o
	}
	delta := func(d object, finish any) []object {
		return []object{{"index": 0, "delta": d, "finish_reason": finish}}
	}
	s.event("", chunk(delta(object{"role": "assistant", "content": ""}, nil), nil))
	for _, token := range a.tokens {
		if !s.wait() {
			return
		}
		s.event("", chunk(delta(object{"content": token}, nil), nil))
	}
	s.event("", chunk(delta(object{}, "stop"), nil))
	if q.StreamOptions.IncludeUsage {
		s.event("", chunk([]object{}, openAIUsage(a)))
	}
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func openAIEmbeddings(w http.ResponseWriter, q request) {
	data, tokens := []object{}, 0
	for i, text := range stringsOf(q.Input) {
		var vector any = embed(text, embeddingSize)
		if q.EncodingFormat == "base64" {
			vector = base64Floats(embed(text, embeddingSize))
		}
		tokens += len(strings.Fields(text))
		data = append(data, object{"object": "embedding", "index": i, "embedding": vector})
	}
	writeJSON(w, http.StatusOK, object{"object": "list", "data": data, "model": q.Model, "usage": object{"prompt_tokens": tokens,
		"total_tokens": tokens}})
}

func anthropicMessages(w http.ResponseWriter, r *http.Request, q request, pause time.Duration) {
	a := answerTo(q.question())
	message := object{"id": "msg_fake", "type": "message", "role": "assistant", "model": q.Model, "stop_sequence": nil}
	if !q.streaming(false) {
		message["content"] = []object{{"type": "text", "text": a.text()}}
		message["stop_reason"] = "end_turn"
		message["usage"] = object{"input_tokens": a.prompt, "output_tokens": len(a.tokens)}
		writeJSON(w, http.StatusOK, message)
		return
	}
	message["content"], message["stop_reason"], message["usage"] = []object{}, nil, object{"input_tokens": a.prompt, "output_tokens": 1}
	s := newStream(w, r, "text/event-stream", pause)
	s.event("message_start", object{"type": "message_start", "message": message})
	s.event("content_block_start", object{"type": "content_block_start", "index": 0, "content_block": object{"type": "text", "text": ""}})
	s.event("ping", object{"type": "ping"})
	for _, token := range a.tokens {
		if !s.wait() {
			return
		}
		s.event("content_block_delta", object{"type": "content_block_delta", "index": 0, "delta": object{"type": "text_delta", "text": token}})
	}
	s.event("content_block_stop", object{"type": "content_block_stop", "index": 0})
	s.event("message_delta", object{"type": "message_delta", "delta": object{"stop_reason": "end_turn", "stop_sequence": nil},
		"usage": object{"output_tokens": len(a.tokens)}})
	s.event("message_stop", object{"type": "message_stop"})
}

func geminiContent(w http.ResponseWriter, r *http.Request, q request, pause time.Duration) {
	a := answerTo(q.question())
	response := func(text string, finish any) object {
		candidate := object{"content": object{"role": "model", "parts": []object{{"text": text}}}, "index": 0}
		if finish != nil {
			candidate["finishReason"] = finish
		}
		return object{"candidates": []object{candidate}, "modelVersion": "gemini-fake", "responseId": "fake",
			"usageMetadata": object{"promptTokenCount": a.prompt, "candidatesTokenCount": len(a.tokens), "totalTokenCount": a.total()}}
	}
	if strings.HasSuffix(r.URL.Path, ":generateContent") {
		writeJSON(w, http.StatusOK, response(a.text(), "STOP"))
		return
	}
	s := newStream(w, r, "text/event-stream", pause)
	for i, token := range a.tokens {
		if !s.wait() {
			return
		}
		var finish any
		if i == len(a.tokens)-1 {
			finish = "STOP"
		}
		s.event("", response(token, finish))
	}
}

func geminiEmbeddings(w http.ResponseWriter, q request) {
	embeddings := []object{}
	for _, e := range q.Requests {
		embeddings = append(embeddings, object{"values": embed(textOf(e.Content.Parts), embeddingSize)})
	}
	writeJSON(w, http.StatusOK, object{"embeddings": embeddings})
}

func ollamaChat(w http.ResponseWriter, r *http.Request, q request, pause time.Duration) {
	a := answerTo(q.question())
	line := func(text string, done bool) object {
		o := object{"model": q.Model, "created_at": time.Now().UTC(), "message": object{"role": "assistant", "content": text}, "done": done}
		if done {
			o["done_reason"], o["prompt_eval_count"], o["eval_count"] = "stop", a.prompt, len(a.tokens)
		}
		return o
	}
	if !q.streaming(true) {
		writeJSON(w, http.StatusOK, line(a.text(), true))
		return
	}
	s := newStream(w, r, "application/x-ndjson", pause)
	for _, token := range a.tokens {
		if !s.wait() {
			return
		}
		s.line(line(token, false))
	}
	s.line(line("", true))
}

func ollamaEmbeddings(w http.ResponseWriter, q request) {
	vectors, tokens := [][]float64{}, 0
	for _, text := range stringsOf(q.Input) {
		vectors = append(vectors, embed(text, embeddingSize))
		tokens += len(strings.Fields(text))
	}
	writeJSON(w, http.StatusOK, object{"model": q.Model, "embeddings": vectors, "prompt_eval_count": tokens})
}
