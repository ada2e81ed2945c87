#!/usr/bin/env bash
# Package: github.com/sashabaranov/go-openai v1.43.0 (a Go client that OpenAI did not write).
# Expected: an error that comes inside a stream is an error, whatever stands around it. A comment line means nothing
#   (WHATWG HTML, server-sent events: "If the line starts with a colon, ignore the line"); neither the order of a JSON
#   object's members nor a space behind its brace means anything (RFC 8259).
# What happens: the reader looks for the bytes `data: {"error":`. What is no data line (comments, `event:`, `id:`) it
#   collects as the beginning of an error's text, so one keep-alive earlier in the stream makes the error unreadable.
#   With a space behind the brace, or with "id" before "error" (OpenRouter's documented form), it is no error at all:
#   the stream ends well with half an answer.
# Seen on 2026-11-30:
#   bare     "Half" error, overloaded
#   comment  "Half" unexpected end of JSON input
#   event    "Half" unexpected end of JSON input
#   space    "Half" EOF
#   later    "Half" EOF
# Why it matters: a gateway that keeps a stream alive with comments takes the reason of a later failure from these
#   clients, and one that writes its own error event must write exactly {"error": first, with no name and no space.
set -euo pipefail
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	openai "github.com/sashabaranov/go-openai"
)

const (
	half  = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Half"},"finish_reason":null}]}` + "\n\n"
	body  = `"error":{"message":"overloaded","type":"server_error","param":null,"code":null}`
	done  = "data: [DONE]\n\n"
	later = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m",` + body + `,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\n"
)

var streams = []struct{ name, text string }{
	{"bare", half + "data: {" + body + "}\n\n" + done},
	{"comment", ": keep-alive\n\n" + half + "data: {" + body + "}\n\n" + done},
	{"event", half + "event: error\ndata: {" + body + "}\n\n" + done},
	{"space", half + "data: { " + body + "}\n\n" + done},
	{"later", half + later + done},
}

func main() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, s := range streams {
			if strings.HasPrefix(r.URL.Path, "/"+s.name+"/") {
				fmt.Fprint(w, s.text)
			}
		}
	}))
	defer provider.Close()
	for _, s := range streams {
		config := openai.DefaultConfig("k")
		config.BaseURL = provider.URL + "/" + s.name
		stream, err := openai.NewClientWithConfig(config).CreateChatCompletionStream(context.Background(), openai.ChatCompletionRequest{
			Model: "m", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "hi"}}})
		text := ""
		for err == nil {
			var chunk openai.ChatCompletionStreamResponse
			if chunk, err = stream.Recv(); err == nil && len(chunk.Choices) > 0 {
				text += chunk.Choices[0].Delta.Content
			}
		}
		fmt.Printf("%-8s %q %v\n", s.name, text, err)
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/sashabaranov/go-openai@v1.43.0 >/dev/null 2>&1
go run . | tee seen
cd - >/dev/null
sed -n 's/^#   \(.* "Half" \)/\1/p' "$0" | diff - "$tmp/seen"
