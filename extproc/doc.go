// Package extproc is the service behind Envoy's external-processing filters: it
// decides, for each request, who answers it and translates what goes both ways, while
// Envoy carries the bytes.
//
// # One request, step by step
//
// Envoy runs four filters against this service. Each names itself in its gRPC
// metadata (x-isthmus-filter), and each of its streams is served by one
// goroutine here (server.go). How messages are read, and answers built and sent,
// is package extproc/wire.
//
//  1. The request filter opens stream 1 and sends the request headers
//     (request.go). What needs no body is answered at once: model lists, health
//     probes, unknown paths, a wrong key. For the rest an exchange with an id of
//     our own is made (exchange.go); the id goes back as metadata, so that every
//     later message and access-log entry of the request can name it.
//  2. The body follows, whole. It is parsed once, strictly. The cache is asked
//     (caching.go), and may answer. Routing makes a plan (ordered attempts, each
//     one deployment); a reservation is made in the limits of the first that
//     has room (admission.go), after a wait in the queue if need be (timeouts.go); its
//     deployment translates. The answer carries that body, the plan as metadata
//     for Envoy's cluster specifier (planencoding.go), and clear_route_cache. From
//     here on Envoy walks the plan by itself.
//  3. Only if an attempt is not the first, the retry filter asks for the request
//     again (retry.go): it is translated afresh from the client's text for the
//     deployment of that attempt. Attempts that ended without an answer
//     (refused, reset, timed out) are noticed here.
//  4. Only if an attempt's status is not 2xx, the failure filter shows the
//     answer (failure.go): the deployment's health is told, and routing decides
//     whether another attempt follows, where and when; a reservation is made in
//     that one's limits. The new plan goes back as metadata together with the header
//     that makes Envoy retry.
//     A stream with a 2xx status may turn out to be a failure all the same, until
//     its first content: the opening filter, entered by each attempt at such a stream,
//     shows its headers and first pieces, and holds them until it is clear (opening.go).
//     Either judges once, by a message or by a timer (judgement.go).
//  5. The final answer's headers come on stream 1 (response.go). An error
//     becomes OpenAI's error shape (errorresponse.go). For a good answer the
//     provider's decoder is made, and Envoy is told how to send the body: streamed
//     where it can be relayed, whole where it must be rewritten or is short enough to
//     be judged first, not at all where it passes unread. A document that comes where
//     a stream was asked for is sent as one (streamform.go).
//  6. Body chunks pass through the decoder (responsebody.go); most go back untouched. A
//     stream that stalls ends with an error event (stall.go). The cache and
//     the callbacks keep a copy where they want one (callbacks.go). The last chunk
//     carries the token counts as metadata for access logs and rate limits.
//  7. Whatever happens, stream 1 closes, and exchange.finish runs once: it gives
//     back everything the request held. Its outcome is settled then, or a
//     moment later when only Envoy's access log knows it (exchange.settle,
//     accesslog.go; usage.go names the places that usage comes from): the limits are
//     corrected, and the record of the request is made (record.go), which callbacks
//     (callbacks.go), the log (requestlog.go), metrics and spans (telemetry.go) read.
//     With set_verbose each step before that has been a line already (requestlog.go).
//
// # A changed configuration
//
// A Snapshot (runtime.go) is one configuration in force. An exchange keeps the one
// it began under; what comes after a change has the next (Runtime.Use).
//
// # The end
//
// A service that ends says first that it does not serve, in readiness and gRPC's health
// service, and takes requests as before; later it refuses new ones (drain.go). What runs
// runs to its end. The times between the steps are those of cmd/cli.
//
// # Who looks at it
//
// The admin port (package extproc/admin) and the metrics see the state
// through view.go alone: a deployment's is taken there in one place.
//
// # Failure
//
// Envoy's timers bound the attempts (request.go), and the whole time of what does
// not stream. That of a stream, until its answer begins, is bounded here
// (timeouts.go), with an immediate response that answers no message. The first claim
// of the answer decides who gives it (outcome.go).
//
// Envoy may send the streams of one request to several replicas: what belongs to
// another one's exchange is handed on to it (relay.go, relayopening.go), if it is
// known (package peer). When no replica has the exchange, a failure is passed on as it
// is and a retry is stopped: the request that Envoy would send was written for
// another provider, with that one's key.
//
// Messages come in one order; a stream that breaks it ends (package wire), and so
// does one that does not say the port's secret (secret.go). A panic costs its own
// request: Envoy answers 503 for it. Nothing here waits without a deadline, and
// nothing prints a message, which would hold keys and prompts.
//
// # Where else to look
//
//   - What a client asks for: path.go (the endpoints), routingparams.go (what it may
//     say about routing), auth.go (the gateway's own key, and who asks), origin.go
//     (web pages: CORS, requests of other sites).
//   - What a client gets: localanswers.go (answers and errors of ours; the shape of
//     an error body is in translate/upstream/errorbody.go), headers.go (which headers
//     pass, and those of ours).
//   - Who answered and with what: outcome.go; what is recorded of it: record.go. The tokens
//     of an answer: usage.go names the places they come from.
//   - How each attempt began and ended: attempts.go; on which deployment it is:
//     attemptplan.go; when its answer began: firsttoken.go.
//   - Why a request waited in the queue: admission.go (queuedFor, which is
//     limit.Refused.Lacks); written by requestlog.go, headers.go and telemetry.go.
//   - When a deployment cools down: routing/cooldown.go.
package extproc
