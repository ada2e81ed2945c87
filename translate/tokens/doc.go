// Package tokens counts tokens where a provider did not, offline.
//
// A provider's own usage always counts first. When an answer ended without one,
// [Counter.Estimate] fills it in, marked as estimated: the prompt is counted from
// the request, the completion from what the decoder measured on its way
// ([chat.Output]). It is bounded work, a few milliseconds, and belongs after the
// answer and off the path of any request. For limits that must be charged before
// an answer is known, [Guess] needs no vocabulary at all.
//
// What is counted exactly and what is not:
//   - text: by OpenAI's byte-pair encodings, o200k for current models and for
//     other vendors', cl100k for GPT-4 and GPT-3.5. Other vendors' own encodings
//     differ by some ten per cent for English and more for other languages.
//   - messages: three tokens around each, one for a name, three before the answer,
//     as OpenAI documents it.
//   - tools: the text of their JSON; OpenAI shows models a shorter form.
//   - images, documents, audio: never their base64 text, but a flat sum: see
//     media.go.
//   - more than 64 KiB of text: the rest is extrapolated from samples.
package tokens
