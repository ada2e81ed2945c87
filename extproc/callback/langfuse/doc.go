// Package langfuse sends records to Langfuse: one trace with one generation for
// each request.
//
// Records go as OTLP spans to /api/public/otel/v1/traces, with Langfuse's own
// attributes; hosts that lack it (before version 3.22) get the same over
// /api/public/ingestion as JSON. Which one a host has is learnt from its first
// answer.
//
// What the client puts in the request's metadata (trace_id, session_id,
// trace_name, generation_name, tags, …) means the same as with LiteLLM;
// metadata.go lists it.
package langfuse
