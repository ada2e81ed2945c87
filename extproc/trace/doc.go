// Package trace sends OpenTelemetry spans of requests to an OTLP collector.
//
// A request is a span of kind server that joins the span which Envoy or the
// client names; each attempt at a provider is a span of kind client below it.
// Both are begun where they happen, since the provider is told of the attempt's
// span, and get their attributes and their end when the request is over
// ([Request.End]): the client has its answer by then. Attributes are those of
// the GenAI conventions; no prompt, no answer and no error text is in them.
//
// Spans wait in the SDK's queue, which is bounded and drops what does not fit:
// a collector that is slow or away costs spans and nothing else. [Tracer.Close]
// sends what waits.
//
// Everything is told with the standard OTEL_* variables of the process's
// environment, which the SDK reads itself; env.go reads those that it does not.
package trace
