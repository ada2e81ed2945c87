// Package translate turns OpenAI-format requests into each provider's format
// and the answers back.
//
// [Bind] looks the provider of a deployment up in the table of providers.go,
// once, when the configuration is loaded; the [Translator] it returns has
// everything of the deployment worked out (URL, key, quirks) and is shared by
// all requests. A request is translated afresh for each attempt, from the
// client's original text, so that a cascade over several providers never
// inherits anything from the provider before.
//
// The folders: chat is the pivot, upstream the words of one call, sse and
// jsonedit the two wire formats, and each provider has a folder of its own,
// named as in the model config.
package translate
