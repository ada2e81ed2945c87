#!/usr/bin/env bash
# Package: github.com/tmc/langchaingo v0.1.14, llms/openai with a streaming function.
# Expected: an error event in a stream makes GenerateContent fail (OpenAI sends `data: {"error": {...}}` once the status
#   is out, and its own clients raise). An event whose data stands on several `data:` lines is one event (WHATWG HTML,
#   server-sent events: the lines are joined by a line feed), so pretty-printed JSON is as good as any.
# What happens: each line is parsed alone; what is no JSON is skipped without a word, and JSON that is something else (the
#   error) is a chunk without choices. So an error is a good answer with half its text, and an event of many lines is a
#   hole in the text.
# Seen on 2026-11-30:
#   plain  "Half rest" stop="stop" err=<nil>
#   error  "Half" stop="" err=<nil>
#   cut    "Half" stop="" err=error reading streaming response: unexpected EOF
#   lines  " rest" stop="stop" err=<nil>
# Why it matters: the error event is all that a gateway can still say once it has answered 200 and sent text. A program
#   with this client takes half an answer, or one with a hole, for the whole. A body that is cut without its proper end is
#   noticed (by all clients of this folder): an error event should be followed by just that.
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

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/llms/openai"
)

const (
	half   = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Half"},"finish_reason":null}]}` + "\n\n"
	rest   = `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":" rest"},"finish_reason":"stop"}]}` + "\n\n"
	failed = `data: {"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}` + "\n\n"
	done   = "data: [DONE]\n\n"
)

var streams = []struct{ name, text string }{
	{"plain", half + rest + done},
	{"error", half + failed},
	{"cut", half},
	{"lines", strings.Replace(half, `,"choices"`, ",\ndata: \"choices\"", 1) + rest + done},
}

func main() {
	for _, s := range streams {
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, s.text)
			if s.name == "cut" {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler) // the connection closes without the end of the chunked body
			}
		}))
		model, err := openai.New(openai.WithBaseURL(provider.URL), openai.WithToken("k"), openai.WithModel("m"))
		if err != nil {
			panic(err)
		}
		text, stop := "", ""
		answer, err := model.GenerateContent(context.Background(), []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "hi")},
			llms.WithStreamingFunc(func(_ context.Context, part []byte) error { text += string(part); return nil }))
		if err == nil {
			stop = answer.Choices[0].StopReason
		}
		fmt.Printf("%-6s %q stop=%q err=%v\n", s.name, text, stop, err)
		provider.Close()
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/tmc/langchaingo@v0.1.14 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go run . | tee seen
cd - >/dev/null
sed -n 's/^#   \(.* err=.*\)$/\1/p' "$0" | diff - "$tmp/seen"
