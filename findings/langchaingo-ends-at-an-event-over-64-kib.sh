#!/usr/bin/env bash
# Package: github.com/tmc/langchaingo v0.1.14, llms/openai with a streaming function.
# Expected: an event of any size: neither the standard for server-sent events nor OpenAI sets a limit for a line, and
#   openai-go v3.99.0 and go-openai v1.43.0 take 200,000 letters in one.
# What happens: lines are read with a bufio.Scanner as Go makes it, whose longest line is 64 KiB with the line's end. One
#   chunk that is longer is an error, and all that stood in it and behind it is lost.
# Seen on 2026-11-30:
#   60 KiB in one chunk: 61440 letters, <nil>
#   64 KiB in one chunk: 0 letters, error reading streaming response: bufio.Scanner: token too long
#   64 KiB in 16 chunks: 65536 letters, <nil>
# Why it matters: providers send small chunks, gateways do not always: an answer out of a cache that is replayed as one chunk,
#   a tool call whose arguments Gemini or Ollama tell in one piece (a file to write), a picture in base64 inside a chunk. A
#   stream that is translated should be cut into chunks below 64 KiB.
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

func chunk(letters int, finish string) string {
	return `data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"` +
		strings.Repeat("x", letters) + `"},"finish_reason":` + finish + "}]}\n\n"
}

func main() {
	for _, s := range []struct {
		name, text string
	}{
		{"60 KiB in one chunk", chunk(60<<10, "null")},
		{"64 KiB in one chunk", chunk(64<<10, "null")},
		{"64 KiB in 16 chunks", strings.Repeat(chunk(4<<10, "null"), 16)},
	} {
		provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, s.text+chunk(0, `"stop"`)+"data: [DONE]\n\n")
		}))
		model, err := openai.New(openai.WithBaseURL(provider.URL), openai.WithToken("k"), openai.WithModel("m"))
		if err != nil {
			panic(err)
		}
		letters := 0
		_, err = model.GenerateContent(context.Background(), []llms.MessageContent{llms.TextParts(llms.ChatMessageTypeHuman, "hi")},
			llms.WithStreamingFunc(func(_ context.Context, part []byte) error { letters += len(part); return nil }))
		fmt.Printf("%s: %d letters, %v\n", s.name, letters, err)
		provider.Close()
	}
}
GO
go mod init finding >/dev/null 2>&1
go get github.com/tmc/langchaingo@v0.1.14 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go run . | tee seen
cd - >/dev/null
sed -n 's/^#   \(6. KiB in .*\)$/\1/p' "$0" | diff - "$tmp/seen"
