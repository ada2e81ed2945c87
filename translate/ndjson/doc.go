// Package ndjson cuts newline-delimited JSON, the framing of Ollama's streams,
// into its values.
//
// [Reader] takes bytes as they arrive, cut anywhere, and gives back whole lines.
// It does not look inside them.
package ndjson
