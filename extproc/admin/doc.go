// Package admin is the admin port: probes, metrics, the state of the deployments,
// the response cache, and the status page.
//
// It looks at the service (package extproc) through a few accessors of Runtime and
// Snapshot; the service knows nothing of it.
//
//   - handler.go: the paths, and who may use them
//   - health.go: GET /health and GET /model/info
//   - statuspage.go: what the status page shows (package extproc/status draws it)
//   - cache.go: GET /cache/ping and POST /cache/flushall
//
// A deployment's state is taken in one place, Snapshot.Deployments; health.go,
// statuspage.go and the metrics (extproc/view.go) render it.
package admin
