// Package upstream holds the types of one call to a provider: the [Target] (which
// provider, which model, whose key), the [Call] that goes out, the [Head] that
// comes back and the [Error] that a failure becomes.
//
// A failure is read in one place each: the shapes of error bodies in errorbody.go
// ([ReadError]), the wait that a provider asks for in retryafter.go ([RetryAfter]),
// the kind of failure ([Kind], in errorkind.go) in errorjudge.go, and every text is cut
// in clip.go ([Clip]).
//
// The provider folders (translate/anthropic, translate/gemini, …) and the façade
// translate use these types, so they stand below both.
package upstream
