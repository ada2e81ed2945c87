// Package metrics holds the instruments of the request path, as one struct made
// with a registerer. Nothing is global: two gateways in one process count apart.
// Labels are names from the configuration, never a client's text.
package metrics
