// Package jsonedit reads a JSON object once, strictly, and rewrites single
// members of it without touching the rest.
//
// A body that goes to an OpenAI-shaped provider is carried, not decoded: fields
// this project has never heard of, the spelling of numbers and the order of keys
// must reach the provider as the client wrote them. So [Parse] validates the
// whole text in one pass (duplicate names at any depth, invalid UTF-8 and text
// after the object are refused: a body that two parsers can read differently
// could be limited as one model and served as another) and remembers where each
// top-level member stands; [Object.Apply] then copies the text around the edits.
//
// Text that has been found valid is walked by a [Cursor], which checks nothing
// twice; [Names], [Members], [Elements] and [Find] are short for its common uses.
//
// [Scanner] does the reading half for response bodies that stream by: it picks
// a few top-level members out of JSON that arrives in pieces and is never held.
package jsonedit
