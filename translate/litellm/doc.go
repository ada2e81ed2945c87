// Package litellm is the table of the names that LiteLLM reads: in a model config,
// in the environment and in a client's body. Each has one [Answer]: it works, works
// as something else, is ignored without harm, or is refused because it restricts
// what isthmus would let through.
//
// The names are those of LiteLLM [Version]; .ci/litellm-names writes them to
// testdata/names.txt, and a test holds the table to that list, both ways. They are
// names only, and answers of our own. docs/litellm.md is made from the table.
//
// [Own] says which names never reach a provider.
package litellm
