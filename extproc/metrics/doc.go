// Package metrics is the page that Prometheus reads. It counts what happens on
// the request path, and asks for the moment's state when the page is read.
//
// A request is counted once, when it has ended ([Metrics.Request]): under the
// names of OpenTelemetry's GenAI conventions (gen_ai_*), under LiteLLM's where
// dashboards know them (litellm_*), and under isthmus_* for what neither has.
// The instruments of one combination of labels are looked up together and kept
// (series.go), so that a request costs two look-ups however many instruments it
// touches. What the service does with Envoy's messages is counted per message,
// in instruments that are all made at the start (stream.go). The state of
// deployments, cache, queue and sinks is no counter of ours: whoever has it says
// so with [Metrics.Watch], and it is asked at each scrape (state.go).
//
// Labels are names from the configuration, never a client's text or a
// provider's: a model that no deployment serves is counted under "". docs/metrics.md
// lists every metric; a test holds it to what this package makes.
//
// Nothing is global: two gateways in one process count apart.
package metrics
