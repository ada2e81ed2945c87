// Package upstream holds the words that one call to a provider is spoken in: the
// [Target] (which provider, which model, whose key), the [Call] that goes out,
// the [Head] that comes back and the [Error] that a failure becomes.
//
// Provider folders (translate/anthropic, translate/gemini, …) and the façade
// translate both speak these words, so they stand below both.
package upstream
