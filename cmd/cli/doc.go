// Package cli is the isthmus command: run, serve, envoy, check, cache and version.
// It is wiring only. A command reads the model config (loaded, config.go), builds
// what it needs (resources, resources.go) and puts it in force (activeConfig,
// active.go) in a running service (service.go); run starts an Envoy in front of it
// (run.go) and restarts it (supervise.go). A reload does the first three steps
// again (reload.go), and what both configurations have the same is kept.
//
// cmd/isthmus is [Main] and nothing else. A program of one's own calls Main with
// hooks in Go: see examples/custom-callback.
//
// The tests of the whole, with real Envoys and real clients, stand in
// cmd/gatewaytest.
package cli
