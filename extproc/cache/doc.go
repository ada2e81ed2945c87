// Package cache answers requests that have been answered before, and lets
// identical requests that run at the same time share one answer. It saves money
// and never gives a wrong answer: whatever is in doubt is a miss.
//
// # The way of a request
//
//  1. [ReadControls] reads what the request asks of the cache; [Cache.Uses] says
//     whether there is anything to do.
//  2. [Cache.Key] sums up all that can change the answer (key.go): the body in
//     canonical form (canonical.go), the endpoint, the model group, the tenant,
//     the group's configuration. How the answer is sent does not count: one
//     entry serves streaming and blocking clients.
//  3. [Cache.Ask] joins the requests with the same key (flight.go). The first of
//     them looks into the store, with a short time to do so. A hit is an
//     [Entry], whose Body is what the client gets: the stored JSON, or the
//     chunks it would have come in (replay.go).
//  4. On a miss there is a [Ticket]. While the provider's answer passes to the
//     client, a [Recorder] sees its bytes and folds a stream's chunks into the
//     blocking answer (fold.go). At the end it makes an Entry, or says why not
//     (storable.go): errors, refusals, what a filter cut, unfinished streams and
//     missing choices are never stored.
//  5. [Ticket.Done] gives the Entry to those who wait and puts it into the queue
//     of the store's writers (queue.go), off the response path.
//
// Embeddings are stored item by item (embedding.go): of a list, only the items
// that are not stored are asked for.
//
// The store is any [Blobs]: [Local] in this process, or Redis for several
// replicas. Replicas share entries, but not the waiting: identical requests on
// two replicas are asked twice.
package cache
