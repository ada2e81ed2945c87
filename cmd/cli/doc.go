// Package cli is the isthmus command: run, serve, envoy, check and cache. It is
// wiring only: it reads the model config, makes what the request path leans on
// (resources.go), starts the service (service.go) and, for run, an Envoy before
// it (run.go), and ends it all in order.
//
// cmd/isthmus is [Main] and nothing else. A program of one's own calls Main with
// hooks in Go: see examples/custom-callback.
//
// The tests of this package are those of the whole: they run the command with
// real Envoys, scripted providers and real clients (stack_test.go).
package cli
