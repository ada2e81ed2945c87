// Package envoy writes the Envoy configuration that puts isthmus into an Envoy's
// data path: the listener with the request filter, the route whose cluster is
// chosen anew for each attempt, the retry, failure and opening filters of the
// attempts, and one upstream cluster per deployment.
//
// It takes typed input ([Input]) and returns Envoy's own protobuf messages; it
// reads no file and opens no socket. Each file is about one thing of Envoy's.
// What an Envoy can do depends on its version ([Version]); version.go says what
// changes when, and docs/decisions why.
//
// What the service must spell alike (headers between the filters, metadata, the
// filters' own names) is in package envoy/names.
//
// Package envoy/process finds, fetches and runs an Envoy; package envoy/xds changes
// the upstream clusters and routes of one that runs.
package envoy
