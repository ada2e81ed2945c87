// Package callbacks tests the records of requests at their receivers: webhooks, Langfuse,
// MLflow, programs and hooks. scenario_test.go has one request for each way in which a
// request can end; what each receiver got of it is in testdata/callback, and `go test
// -update` rewrites that.
package callbacks
