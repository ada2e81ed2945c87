// Package store keeps what requests share: how much of each limit is used, how
// many slots are held, which deployments are cooling down, and cached answers. It
// knows keys, windows and slots; what they stand for is routing/limit's affair.
//
// # Windows and slots
//
// A [Window] is a true sliding minute: it is cut into slices of one second, and
// a charge counts from its own slice until 60 whole slices later. So no 60 s ever
// see more than the limit, and nothing older than 61 s counts. A [Slot] is one of
// a number of places that are held at the same time; it is a lease that ends by
// itself unless it is renewed, so that a killed process gives its slots back.
//
// One call, [Redis.Acquire] or [Memory.Acquire], checks everything a request
// needs and charges it, or charges nothing. A second one, Settle, corrects the
// charges in the slices where they were made and gives the slots back.
//
// # Three stores
//
//   - [Memory] (memory.go) serves one process.
//   - [Redis] (redis.go) serves many: scripts/*.lua run on the server, by its
//     clock. All keys of limits carry one hash tag, so that one request's keys
//     are on one node of a cluster; blobs are spread over all nodes.
//   - [Shared] (shared.go) is what the gateway uses. It asks Redis within a short
//     time (wait.go) and mirrors every charge of its own process in a Memory. When
//     Redis is late, frozen or gone (breaker.go), or refuses to write (refused.go),
//     the Memory answers, with this replica's share of each limit. What was charged
//     meanwhile, and what Redis refused, waits in the outbox (outbox.go) and is sent
//     when Redis is back (synchronize.go).
//
// The package storetest holds one suite that all of them pass.
package store
