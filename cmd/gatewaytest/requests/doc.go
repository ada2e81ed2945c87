// Package requests tests one request through a whole gateway: its answer, errors, sizes,
// timeouts, and clients and providers that do odd things.
package requests
