// Package ollama speaks to an Ollama server's native API in the name of an
// OpenAI client: /api/chat for chat and legacy completions, /api/embed for
// embeddings.
//
// The native API is used rather than Ollama's own imitation of OpenAI's, which
// cannot set num_ctx and the other options. Requests are written in request.go,
// message.go and options.go; answers, one JSON object or a line of them per
// chunk, are read in decoder.go.
//
// https://docs.ollama.com/api
package ollama
