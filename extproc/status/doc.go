// Package status is the gateway's status page and what feeds it.
//
// A [History] takes in each request that ends: the last ones as they are, and
// for each deployment how fast it answered in the last minutes. A [Board] puts
// them beside a [Snapshot] of everything else, at most once per [Interval], and
// knows in which version each part of the whole changed last. So a frame for a
// reader who has seen version 7 is what changed since then, and nothing is kept
// for readers: a slow one skips what has become old.
//
// [NewHandler] serves the page, which is one document without any other file,
// and the frames: GET /status/snapshot gives the whole once, GET /status/events
// a stream of them. The page itself holds no data and is open; its data is
// behind the gateway's key. Nothing here carries a prompt, a key or an address
// of a provider.
package status
