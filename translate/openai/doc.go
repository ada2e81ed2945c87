// Package openai speaks OpenAI's own format: to OpenAI, and to every server that
// speaks it too (vLLM, LM Studio, and the hosted family).
//
// Nothing is decoded that need not be. A request is the client's text with the
// model name put in its place and a few members edited around it (see body.go);
// an answer is relayed byte for byte while a scanner or an event reader picks
// out the usage (see decoder.go). A stream that was asked for usage on the
// gateway's behalf loses that chunk again, and one that ends without being
// finished ends with an error event instead of looking whole.
//
// translate/azure builds on the same pieces.
package openai
