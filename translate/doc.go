// Package translate turns OpenAI-format requests into each provider's format
// and the answers back.
//
// [Providers] lists the providers with their addresses and variables, and [Bind]
// takes one of them to speak for a deployment, once, when the configuration is
// loaded; the [Translator] it returns has everything of the deployment worked
// out (URL, key, quirks) and is shared by all requests. A provider that speaks
// OpenAI's format is one line in openai/family.go. A request is translated afresh
// for each attempt, from the client's original text, so that a cascade over
// several providers never inherits anything from the provider before.
//
// The folders: chat is the pivot, upstream the words of one call, sse, ndjson and
// jsonedit the wire formats, tokens counts what a provider did not, and each
// provider with a format of its own has a folder, named as in the model config.
// docs/providers.md tells users what each provider takes; a test here makes its
// tables from the code.
package translate
