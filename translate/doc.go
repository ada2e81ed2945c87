// Package translate turns OpenAI-format requests into each provider's format
// and the answers back.
//
// [Providers] lists the providers with their addresses and variables, and [Bind]
// makes the [Translator] of a deployment, once, when the configuration is loaded.
// It has everything of the deployment worked out (URL, key, quirks) and is shared by
// all requests. A request is translated afresh for each attempt, from the client's
// original text, so that a cascade over several providers never inherits anything
// from the provider before.
//
// To add a provider that takes OpenAI's format, add its line to openai/family.go. One
// with a format of its own gets a folder and a row in providers.go: see "Adding a
// provider" in CONTRIBUTING.md.
//
// The folders: chat is the pivot, upstream the types of one call (the shapes of
// error bodies and the wait that a provider asks for are read there), sse, ndjson
// and jsonedit the wire formats, tokens counts what a provider did not, and each
// provider with a format of its own has a folder, named as in the model config; its
// failure.go reads its errors. docs/architecture.md has the packages that
// are planned. docs/providers.md tells users what each provider takes; a test here
// makes its tables from the code.
package translate
