// Package callback tells the outside world about requests that have ended:
// Langfuse, MLflow, a webhook, a program of the user's own.
//
// # The parts
//
//   - A [Record] is one request: LiteLLM's StandardLoggingPayload with the same
//     JSON names, plus the attempts. It is filled once, when the request ended,
//     and never changed after it was handed over.
//   - A [Policy] prepares it (policy.go): text is redacted where that was asked
//     for, long content is cut (content.go), so that no record is large.
//   - A [Queue] stands before each sink (queue.go). Adding never waits and never
//     does I/O; the queue's goroutine (worker.go) batches, repeats what failed for
//     the moment and moves to the disk, if it may, what memory will not hold long
//     (spill.go). When the sink stays away the oldest go. All of it is counted.
//   - A [Callback] delivers one batch. It knows nothing of queues: it says nil,
//     an error (try again) or a [Permanent] one (never again).
//   - [Poster] is the HTTP client of the sinks (post.go).
//   - [Hooks] and [Event] are for callbacks of the user's own, which also hear of
//     each attempt and of the chunks of a stream (event.go).
//
// The sinks are sub-packages; package all reads the configuration and makes
// them.
//
// # Failure
//
// Nothing here slows or breaks traffic: a sink that hangs, refuses or floods
// costs its own queue. Delivery is "at least once": a batch whose answer was
// lost is sent again, and a receiver tells repeated records by
// litellm_call_id.
package callback
