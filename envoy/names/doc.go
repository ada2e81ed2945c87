// Package names holds the names that isthmus's Envoy configuration (package
// envoy) and its ext_proc service (package extproc) must both spell alike: keys
// of gRPC metadata, headers between the filters, namespaces and fields of dynamic
// metadata. Each says who writes it and who reads it.
//
// A name that leaves the two, such as a header that clients see, is not here but
// where it is written. A name is never changed without need: a configuration of
// an older isthmus may still be in an Envoy that runs.
//
// The package holds constants only and imports nothing.
package names
