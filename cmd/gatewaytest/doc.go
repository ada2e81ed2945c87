// Package gatewaytest runs whole gateways for tests: the command isthmus, real
// Envoys, a real Redis, and providers and receivers of records that do as a test
// says. The tests stand in the packages below, one for each capability:
//
//	attach         Envoys that somebody else runs, every version, Istio, replicas
//	cache          the response cache
//	callbacks      webhooks, Langfuse, MLflow, hooks
//	limits         limits, the queue, Redis
//	load           what is measured, and what is judged under load
//	observability  logs, metrics, traces, the status page
//	providers      each provider's own format, through the libraries of clients
//	reload         changed configs, signals, processes that end
//	requests       one request: its answer, errors, sizes, timeouts
//	routing        strategies, retries, cascades
//	security       secrets, other origins, what is not enforced
//
// Begin with [Start] (gateway.go), which runs `isthmus run` in this process so that
// the race detector sees it; [Serve] (attached.go) runs `isthmus serve`, [StartFleet]
// (fleet.go) several gateways that share a Redis, [StartProcess] (process.go) a
// process that can be killed. [NewProvider] (provider.go) is what they ask.
//
// Everything ends with its test. A function that is given a test fails it where it
// cannot do what it says. Waits are for events, bounded generously: no test here
// depends on how fast the machine is, unless it says so by package testring.
package gatewaytest
