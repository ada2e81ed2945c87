#!/usr/bin/env bash
# Package: github.com/sashabaranov/go-openai v1.43.0.
# Expected: any number of comments between two events. The standard for server-sent events (WHATWG HTML) recommends
#   them: "authors can include a comment line (one starting with a ':' character) every 15 seconds or so".
# What happens: EmptyMessagesLimit, 300 by default, counts every line that is no data line since the last one that was.
#   A comment is two of them, with the blank line behind it, so the 150th keep-alive in a row ends the stream. A
#   client that set the limit to "a few empty messages" gives up after half as many keep-alives.
# Seen on 2026-11-30:
#   149 keep-alives: "Half rest" EOF
#   150 keep-alives: "Half" stream has sent too many empty messages
# Why it matters: with a keep-alive a second, a model that thinks for two and a half minutes is cut off by its own
#   client, and the gateway sees a caller that left. Keep-alives for strangers have to be rare (15 s), or real chunks.
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

func chunk(text string) string {
	return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}]}` + "\n\n"
}

func main() {
	for _, n := range []int{149, 150} {
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, chunk("Half")+strings.Repeat(": keep-alive\n\n", n)+chunk(" rest")+"data: [DONE]\n\n")
		}))
		config := openai.DefaultConfig("k")
		config.BaseURL = provider.URL
		stream, err := openai.NewClientWithConfig(config).CreateChatCompletionStream(context.Background(), openai.ChatCompletionRequest{
			Model: "m", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "hi"}}})
		text := ""
		for err == nil {
			var c openai.ChatCompletionStreamResponse
			if c, err = stream.Recv(); err == nil {
				text += c.Choices[0].Delta.Content
			}
		}
		fmt.Printf("%d keep-alives: %q %v\n", n, text, err)
		provider.Close()
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/sashabaranov/go-openai@v1.43.0 >/dev/null 2>&1
go run . | tee seen
cd - >/dev/null
sed -n 's/^#   \(1.* keep-alives: \)/\1/p' "$0" | diff - "$tmp/seen"
